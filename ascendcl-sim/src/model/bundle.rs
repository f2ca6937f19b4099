//! Bundles: several models in one file, which share their variables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::ptr;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError, aclmdlBundleQueryInfo};

use super::om::container::{BUNDLE, HEADER, Header, kind, u32_at, u64_at};
use super::prepare::{Asker, prepare, read_file, sizes};
use super::registry;
use super::reserve::Provided;
use crate::check::leak::{LiveKind, Registration, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

type Done = Result<(), aclError>;

static BUNDLES: Mutex<BTreeMap<u32, (Arc<Bundle>, Registration)>> = Mutex::new(BTreeMap::new());
static INFOS: Table<Mutex<Info>> = Table::new(Kind::BundleInfo);

/// What a bundle's file says.
struct Layout {
    variable_size: usize,
    /// Where the models are.
    models: Vec<(usize, usize)>,
}

/// A bundle that the program has.
struct Bundle {
    id: u32,
    /// Its models are loaded one by one.
    piecemeal: bool,
    file: Option<PathBuf>,
    layout: Layout,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    data: Option<Arc<Vec<u8>>>,
    /// Models that were loaded with the bundle, in its order.
    ids: Vec<u32>,
    loaded: BTreeSet<u32>,
}

/// `aclmdlBundleQueryInfo`.
#[derive(Default)]
struct Info {
    variable_size: usize,
    /// Work and weight bytes of each model.
    models: Vec<(usize, usize)>,
}

fn invalid(what: impl std::fmt::Display) -> aclError {
    fail(sys::ACL_ERROR_INVALID_PARAM, what)
}

/// Finds the models in a bundle, with the checks of the real reader: it believes the magic number.
fn layout(file: &[u8]) -> Result<Layout, aclError> {
    let short = || invalid(format_args!("{} bytes are too few for a bundle of models", file.len()));
    let header = Header::of(file).ok_or_else(short)?;
    let count = u32_at(file, HEADER).filter(|_| file.len() >= HEADER + 8).ok_or_else(short)?;
    if header.model_type() != BUNDLE {
        return Err(invalid(
            "this is no bundle of models; load it with aclmdlLoadFromFile or aclmdlLoadFromMem",
        ));
    }
    let table = HEADER + 8;
    let mut at = table + count as usize * 24;
    if at > file.len() {
        return Err(invalid(format_args!(
            "malformed bundle: a table of {count} partitions in {} bytes",
            file.len()
        )));
    }
    let mut layout = Layout { variable_size: 0, models: Vec::new() };
    for index in 0..count as usize {
        let entry = table + index * 24;
        let kind_of = u32_at(file, entry).unwrap_or(0);
        let size = u64_at(file, entry + 16).and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX);
        let end = at.checked_add(size).ok_or_else(|| {
            fail(sys::ACL_ERROR_FAILURE, format_args!("malformed bundle: partition {index} has {size} bytes"))
        })?;
        if end > file.len() {
            return Err(invalid(format_args!("malformed bundle: partition {index} has {size} bytes")));
        }
        match kind_of {
            kind::BUNDLE_MODEL_VAR_INFO => {
                layout.variable_size =
                    u64_at(file, at).and_then(|size| usize::try_from(size).ok()).unwrap_or(0);
            }
            kind::BUNDLE_MODEL_INFO => layout.models.push((at, size)),
            _ => {}
        }
        at = end;
    }
    Ok(layout)
}

// --- Asking

/// `aclmdlBundleCreateQueryInfo`. NULL if there are a million already.
pub(crate) fn create_info() -> *mut aclmdlBundleQueryInfo {
    let registration = register(LiveKind::ModelDesc, "of a bundle");
    INFOS.insert(Arc::new(Mutex::default()), registration).unwrap_or(ptr::null_mut()).cast()
}

/// `aclmdlBundleDestroyQueryInfo`.
pub(crate) fn destroy_info(handle: *const aclmdlBundleQueryInfo) -> Done {
    INFOS.remove(handle.cast()).map(drop).ok_or_else(|| no_info(handle))
}

fn info(handle: *const aclmdlBundleQueryInfo) -> Result<Arc<Mutex<Info>>, aclError> {
    INFOS.get(handle.cast()).ok_or_else(|| no_info(handle))
}

fn no_info(handle: *const aclmdlBundleQueryInfo) -> aclError {
    invalid(format_args!("the bundle information {handle:p} {}", INFOS.describe(handle.cast())))
}

/// `aclmdlBundleQueryInfoFrom*`: what was asked before stays in front, as in the real library.
pub(crate) fn query(handle: *mut aclmdlBundleQueryInfo, file: &[u8]) -> Done {
    let info = info(handle)?;
    let layout = layout(file)?;
    let mut found = Vec::new();
    for &(offset, size) in &layout.models {
        let model = &file[offset..offset + size];
        let header = Header::of(model)
            .ok_or_else(|| invalid(format_args!("malformed bundle: a model of {size} bytes")))?;
        found.push(if header.is_dynamic() { (0, 0) } else { sizes(model)? });
    }
    let mut info = info.lock();
    info.variable_size = layout.variable_size;
    info.models.extend(found);
    Ok(())
}

/// `aclmdlBundleGetQueryModelNum`.
pub(crate) fn info_count(handle: *const aclmdlBundleQueryInfo) -> Result<usize, aclError> {
    Ok(info(handle)?.lock().models.len())
}

/// `aclmdlBundleGetVarWeightSize`.
pub(crate) fn info_variables(handle: *const aclmdlBundleQueryInfo) -> Result<usize, aclError> {
    Ok(info(handle)?.lock().variable_size)
}

/// `aclmdlBundleGetSize`.
pub(crate) fn info_sizes(
    handle: *const aclmdlBundleQueryInfo,
    index: usize,
) -> Result<(usize, usize), aclError> {
    let info = info(handle)?;
    let info = info.lock();
    info.models.get(index).copied().ok_or_else(|| {
        invalid(format_args!("index {index} of information about {} models", info.models.len()))
    })
}

// --- Loading

/// `aclmdlBundleInitFrom*`: reads the bundle and loads nothing.
pub(crate) fn init(data: Vec<u8>, file: Option<&Path>, variables: Option<usize>) -> Result<u32, aclError> {
    start(data, file, variables, true).map(|bundle| bundle.id)
}

fn start(
    data: Vec<u8>,
    file: Option<&Path>,
    variables: Option<usize>,
    piecemeal: bool,
) -> Result<Arc<Bundle>, aclError> {
    let layout = layout(&data)?;
    if let Some(given) = variables.filter(|&given| given < layout.variable_size) {
        let needed = layout.variable_size;
        return Err(invalid(format_args!("memory of {given} bytes for variables of {needed}")));
    }
    let id = registry::next_id();
    let state = Mutex::new(State { data: Some(Arc::new(data)), ..State::default() });
    let bundle = Arc::new(Bundle { id, piecemeal, file: file.map(Path::to_owned), layout, state });
    let registration = register(LiveKind::Model, format!("bundle {id}"));
    BUNDLES.lock().insert(id, (Arc::clone(&bundle), registration));
    Ok(bundle)
}

/// `aclmdlBundleLoadFrom*`: loads all models of a bundle. If one fails, none stays.
pub(crate) fn load(data: Vec<u8>, file: Option<&Path>) -> Result<u32, aclError> {
    let bundle = start(data, file, None, false)?;
    for index in 0..bundle.layout.models.len() {
        match bundle.load_model(index, &Provided::NOTHING) {
            Ok(id) => bundle.state.lock().ids.push(id),
            Err(code) => {
                let _ = bundle.unload();
                BUNDLES.lock().remove(&bundle.id);
                return Err(code);
            }
        }
    }
    if bundle.file.is_some() {
        bundle.state.lock().data = None;
    }
    Ok(bundle.id)
}

/// The bundle with this id: 148053 if there is none.
fn find(id: u32) -> Result<Arc<Bundle>, aclError> {
    let bundle = BUNDLES.lock().get(&id).map(|(bundle, _)| Arc::clone(bundle));
    bundle.ok_or_else(|| {
        fail(
            sys::ACL_ERROR_INVALID_BUNDLE_MODEL_ID,
            format_args!("there is no bundle of models with id {id}"),
        )
    })
}

impl Bundle {
    fn load_model(&self, index: usize, provided: &Provided) -> Result<u32, aclError> {
        let &(offset, size) = self.layout.models.get(index).ok_or_else(|| {
            let count = self.layout.models.len();
            invalid(format_args!("index {index} of bundle {} with {count} models", self.id))
        })?;
        let data = self.data()?;
        let model = data.get(offset..offset + size).unwrap_or_default();
        let built = prepare(model, Asker::LoadMemory)?;
        let id = registry::load(built, provided, Some(self.id))?;
        self.state.lock().loaded.insert(id);
        Ok(id)
    }

    /// The file's content, read again if it was given back.
    fn data(&self) -> Result<Arc<Vec<u8>>, aclError> {
        let kept = self.state.lock().data.clone();
        match (kept, &self.file) {
            (Some(data), _) => Ok(data),
            (None, Some(file)) => {
                let data = Arc::new(read_file(file)?);
                self.state.lock().data = Some(Arc::clone(&data));
                Ok(data)
            }
            (None, None) => Err(invalid(format_args!("bundle {} has no data any more", self.id))),
        }
    }

    fn unload(&self) -> Done {
        let loaded = std::mem::take(&mut self.state.lock().loaded);
        let mut result = Ok(());
        for id in loaded {
            if let Err(code) = registry::end(id) {
                self.state.lock().loaded.insert(id);
                result = Err(code);
            }
        }
        result
    }
}

/// `aclmdlBundleLoadModel*`: one model of a bundle.
pub(crate) fn load_model(id: u32, index: usize, provided: &Provided) -> Result<u32, aclError> {
    find(id)?.load_model(index, provided)
}

/// `aclmdlBundleUnloadModel`.
pub(crate) fn unload_model(id: u32, model: u32) -> Done {
    let bundle = find(id)?;
    if !bundle.state.lock().loaded.contains(&model) {
        return Err(invalid(format_args!("model {model} is no loaded model of bundle {id}")));
    }
    registry::end(model)?;
    bundle.state.lock().loaded.remove(&model);
    Ok(())
}

/// `aclmdlBundleUnload`.
pub(crate) fn unload(id: u32) -> Done {
    find(id)?.unload()?;
    BUNDLES.lock().remove(&id);
    Ok(())
}

/// `aclmdlBundleGetModelNum`.
pub(crate) fn count(id: u32) -> Result<usize, aclError> {
    Ok(find(id)?.layout.models.len())
}

/// `aclmdlBundleGetModelId`.
pub(crate) fn model_id(id: u32, index: usize) -> Result<u32, aclError> {
    let bundle = find(id)?;
    if bundle.piecemeal {
        return Err(fail(
            sys::ACL_ERROR_API_NOT_SUPPORT,
            format_args!("the models of bundle {id} are loaded one by one, and each load tells its id"),
        ));
    }
    let state = bundle.state.lock();
    state
        .ids
        .get(index)
        .copied()
        .ok_or_else(|| invalid(format_args!("index {index} of bundle {id} with {} models", state.ids.len())))
}
