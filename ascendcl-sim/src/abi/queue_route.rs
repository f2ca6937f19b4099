//! Routes between queues.

use core::ffi::c_void;
use std::ptr;

use ascendcl_sys::{
    self as sys, AclApi, aclError, acltdtQueueRoute, acltdtQueueRouteList, acltdtQueueRouteParamType,
    acltdtQueueRouteQueryInfo, acltdtQueueRouteQueryInfoParamType,
};

use super::queue::{copy_in, copy_out, device};
use super::{call, call_or, fill, invalid, not_null};
use crate::queue::record::{QUERIES, ROUTE_LISTS, ROUTES, Wanted};
use crate::queue::route::{self, Route};

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtCreateQueueRoute(srcId: u32, dstId: u32) -> *mut acltdtQueueRoute {
    call_or!("acltdtCreateQueueRoute", |_| ptr::null_mut(), || {
        let route = ROUTES.create(Route { from: srcId, to: dstId, status: 0 });
        route.map_or(ptr::null_mut(), |handle| handle.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtDestroyQueueRoute(route: *const acltdtQueueRoute) -> aclError {
    call!("acltdtDestroyQueueRoute", || {
        not_null(route, "route")?;
        ROUTES.destroy(route.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetQueueRouteParam(
    route: *const acltdtQueueRoute,
    type_: acltdtQueueRouteParamType,
    len: usize,
    paramRetSize: *mut usize,
    param: *mut c_void,
) -> aclError {
    call!("acltdtGetQueueRouteParam", || {
        not_null(route, "route")?;
        not_null(param, "param")?;
        not_null(paramRetSize, "paramRetSize")?;
        let route = *ROUTES.get(route.cast())?.lock();
        let bytes = match type_ {
            sys::ACL_TDT_QUEUE_ROUTE_SRC_UINT32 => route.from.to_ne_bytes(),
            sys::ACL_TDT_QUEUE_ROUTE_DST_UINT32 => route.to.to_ne_bytes(),
            sys::ACL_TDT_QUEUE_ROUTE_STATUS_INT32 => route.status.to_ne_bytes(),
            other => return Err(invalid(format_args!("{} is no parameter of a route", other.0))),
        };
        // SAFETY: [caller] not NULL, and the caller passes places to write to.
        unsafe { copy_out(&bytes, param, len, paramRetSize) }
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtCreateQueueRouteList() -> *mut acltdtQueueRouteList {
    call_or!("acltdtCreateQueueRouteList", |_| ptr::null_mut(), || {
        ROUTE_LISTS.create(Vec::new()).map_or(ptr::null_mut(), |handle| handle.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtDestroyQueueRouteList(routeList: *const acltdtQueueRouteList) -> aclError {
    call!("acltdtDestroyQueueRouteList", || {
        not_null(routeList, "routeList")?;
        ROUTE_LISTS.destroy(routeList.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtAddQueueRoute(
    routeList: *mut acltdtQueueRouteList,
    route: *const acltdtQueueRoute,
) -> aclError {
    call!("acltdtAddQueueRoute", || {
        not_null(routeList, "routeList")?;
        not_null(route, "route")?;
        let list = ROUTE_LISTS.get(routeList.cast())?;
        let route = *ROUTES.get(route.cast())?.lock();
        list.lock().push(route);
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetQueueRoute(
    routeList: *const acltdtQueueRouteList,
    index: usize,
    route: *mut acltdtQueueRoute,
) -> aclError {
    call!("acltdtGetQueueRoute", || {
        not_null(routeList, "routeList")?;
        not_null(route, "route")?;
        let list = ROUTE_LISTS.get(routeList.cast())?;
        let into = ROUTES.get(route.cast())?;
        let list = list.lock();
        let Some(found) = list.get(index) else {
            return Err(invalid(format_args!("the list has {} routes, and no route {index}", list.len())));
        };
        *into.lock() = *found;
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtGetQueueRouteNum(routeList: *const acltdtQueueRouteList) -> usize {
    call_or!("acltdtGetQueueRouteNum", |_| 0, || {
        let list = not_null(routeList, "routeList").and_then(|()| ROUTE_LISTS.get(routeList.cast()));
        list.map_or(0, |list| list.lock().len())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtCreateQueueRouteQueryInfo() -> *mut acltdtQueueRouteQueryInfo {
    call_or!("acltdtCreateQueueRouteQueryInfo", |_| ptr::null_mut(), || {
        QUERIES.create(Wanted::default()).map_or(ptr::null_mut(), |handle| handle.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtDestroyQueueRouteQueryInfo(info: *const acltdtQueueRouteQueryInfo) -> aclError {
    call!("acltdtDestroyQueueRouteQueryInfo", || {
        not_null(info, "info")?;
        QUERIES.destroy(info.cast())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtSetQueueRouteQueryInfo(
    param: *mut acltdtQueueRouteQueryInfo,
    type_: acltdtQueueRouteQueryInfoParamType,
    len: usize,
    value: *const c_void,
) -> aclError {
    call!("acltdtSetQueueRouteQueryInfo", || {
        not_null(param, "param")?;
        not_null(value, "value")?;
        let query = QUERIES.get(param.cast())?;
        let mut query = query.lock();
        let field = match type_ {
            sys::ACL_TDT_QUEUE_ROUTE_QUERY_MODE_ENUM => &mut query.mode,
            sys::ACL_TDT_QUEUE_ROUTE_QUERY_SRC_ID_UINT32 => &mut query.from,
            sys::ACL_TDT_QUEUE_ROUTE_QUERY_DST_ID_UINT32 => &mut query.to,
            other => return Err(invalid(format_args!("{} is no parameter of a query", other.0))),
        };
        // SAFETY: [caller] the caller passes `len` readable bytes.
        *field = Some(u32::from_ne_bytes(unsafe { copy_in(value, len) }?));
        Ok(())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtBindQueueRoutes(qRouteList: *mut acltdtQueueRouteList) -> aclError {
    call!("acltdtBindQueueRoutes", || {
        not_null(qRouteList, "qRouteList")?;
        let list = ROUTE_LISTS.get(qRouteList.cast())?;
        route::bind(device()?.0, &mut list.lock())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtUnbindQueueRoutes(qRouteList: *mut acltdtQueueRouteList) -> aclError {
    call!("acltdtUnbindQueueRoutes", || {
        not_null(qRouteList, "qRouteList")?;
        let list = ROUTE_LISTS.get(qRouteList.cast())?;
        route::unbind(device()?.0, &mut list.lock())
    })
}

#[cfg_attr(feature = "export", unsafe(no_mangle))]
unsafe extern "C" fn acltdtQueryQueueRoutes(
    queryInfo: *const acltdtQueueRouteQueryInfo,
    qRouteList: *mut acltdtQueueRouteList,
) -> aclError {
    call!("acltdtQueryQueueRoutes", || {
        not_null(qRouteList, "qRouteList")?;
        not_null(queryInfo, "queryInfo")?;
        let list = ROUTE_LISTS.get(qRouteList.cast())?;
        list.lock().clear();
        let query = QUERIES.get(queryInfo.cast())?.lock().query()?;
        *list.lock() = route::query(device()?.0, query);
        Ok(())
    })
}

pub(super) fn fill(api: &mut AclApi) {
    fill!(api:
        acltdtCreateQueueRoute, acltdtDestroyQueueRoute, acltdtGetQueueRouteParam, acltdtCreateQueueRouteList,
        acltdtDestroyQueueRouteList, acltdtAddQueueRoute, acltdtGetQueueRoute, acltdtGetQueueRouteNum,
        acltdtCreateQueueRouteQueryInfo, acltdtDestroyQueueRouteQueryInfo, acltdtSetQueueRouteQueryInfo,
        acltdtBindQueueRoutes, acltdtUnbindQueueRoutes, acltdtQueryQueueRoutes,
    );
}
