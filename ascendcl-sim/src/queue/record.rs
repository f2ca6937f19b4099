//! Records that the program fills: a route, a list of routes, what to look for.

use core::ffi::c_void;
use std::sync::Arc;

use ascendcl_sys::{self as sys, aclError};

use super::route::{Query, Route};
use crate::check::leak::{LiveKind, register};
use crate::error::fail;
use crate::handle::{Kind, Table};
use crate::lock::Mutex;

/// What to look for, as far as it is set.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) mode: Option<u32>,
    pub(crate) from: Option<u32>,
    pub(crate) to: Option<u32>,
}

impl Wanted {
    /// What that means, if enough is set (100000).
    pub(crate) fn query(&self) -> Result<Query, aclError> {
        let unset =
            |what: &str| fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("{what} is not set in the query"));
        let from = || self.from.ok_or_else(|| unset("the source"));
        let to = || self.to.ok_or_else(|| unset("the destination"));
        let mode = self.mode.ok_or_else(|| unset("the mode"))?;
        match sys::acltdtQueueRouteQueryMode(mode) {
            sys::ACL_TDT_QUEUE_ROUTE_QUERY_SRC => from().map(Query::From),
            sys::ACL_TDT_QUEUE_ROUTE_QUERY_DST => to().map(Query::To),
            sys::ACL_TDT_QUEUE_ROUTE_QUERY_SRC_AND_DST => Ok(Query::Between(from()?, to()?)),
            sys::ACL_TDT_QUEUE_ROUTE_QUERY_ABNORMAL => Ok(Query::Abnormal),
            _ => Err(fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("{mode} is no mode of a query"))),
        }
    }
}

/// Records of one kind, by handle.
pub(crate) struct Records<T> {
    table: Table<Mutex<T>>,
    what: &'static str,
}

pub(crate) static ROUTES: Records<Route> = Records::new(Kind::QueueRoute, "a route");
pub(crate) static ROUTE_LISTS: Records<Vec<Route>> = Records::new(Kind::QueueRouteList, "a list of routes");
pub(crate) static QUERIES: Records<Wanted> = Records::new(Kind::QueueRouteQuery, "a query for routes");

impl<T> Records<T> {
    const fn new(kind: Kind, what: &'static str) -> Self {
        Self { table: Table::new(kind), what }
    }

    pub(crate) fn create(&self, record: T) -> Result<*mut c_void, aclError> {
        let made = self.table.insert(Arc::new(Mutex::new(record)), register(LiveKind::Queue, self.what));
        made.ok_or_else(|| fail(sys::ACL_ERROR_BAD_ALLOC, "a million records are alive"))
    }

    /// The record of a handle (100000).
    pub(crate) fn get(&self, handle: *const c_void) -> Result<Arc<Mutex<T>>, aclError> {
        self.table.get(handle).ok_or_else(|| self.stale(handle))
    }

    pub(crate) fn destroy(&self, handle: *const c_void) -> Result<(), aclError> {
        self.table.remove(handle).map(drop).ok_or_else(|| self.stale(handle))
    }

    fn stale(&self, handle: *const c_void) -> aclError {
        let why = self.table.describe(handle);
        fail(sys::ACL_ERROR_INVALID_PARAM, format_args!("the handle of {} {why}", self.what))
    }
}
