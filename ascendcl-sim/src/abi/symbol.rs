//! Variables of devices that the host knows by symbols.
//!
//! What the kernel compiler makes registers symbols when a program is loaded, through functions of the runtime that are not part of
//! AscendCL and do not exist here: no symbol is ever known.

use core::ffi::c_void;

use ascendcl_sys::{self as sys, aclError, aclrtMemcpyKind, aclrtStream};

use super::{functions, invalid, not_null};
use crate::core::current_context;
use crate::error::fail;

functions! {
    status fn aclrtGetSymbolAddress(symbol: *const c_void, devPtr: *mut *mut c_void) {
        not_null(symbol, "symbol")?;
        not_null(devPtr, "devPtr")?;
        Err(unknown(symbol))
    }

    status fn aclrtGetSymbolSize(symbol: *const c_void, size: *mut usize) {
        not_null(symbol, "symbol")?;
        not_null(size, "size")?;
        Err(unknown(symbol))
    }

    status fn aclrtMemcpyFromSymbol(
        dst: *mut c_void, dstMax: usize, symbol: *const c_void, count: usize, offset: usize, kind: aclrtMemcpyKind,
    ) {
        from(dst, dstMax, symbol, (count, offset), kind)
    }

    status fn aclrtMemcpyFromSymbolAsync(
        dst: *mut c_void, dstMax: usize, symbol: *const c_void, count: usize, offset: usize, kind: aclrtMemcpyKind,
        _stream: aclrtStream,
    ) {
        from(dst, dstMax, symbol, (count, offset), kind)
    }

    status fn aclrtMemcpyToSymbol(
        symbol: *const c_void, src: *const c_void, count: usize, offset: usize, kind: aclrtMemcpyKind,
    ) {
        to(symbol, src, (count, offset), kind)
    }

    status fn aclrtMemcpyToSymbolAsync(
        symbol: *const c_void, src: *const c_void, count: usize, offset: usize, kind: aclrtMemcpyKind,
        _stream: aclrtStream,
    ) {
        to(symbol, src, (count, offset), kind)
    }
}

fn from(
    dst: *mut c_void,
    room: usize,
    symbol: *const c_void,
    (count, offset): (usize, usize),
    kind: aclrtMemcpyKind,
) -> Result<(), aclError> {
    if count == 0 {
        return Ok(());
    }
    not_null(symbol, "symbol")?;
    not_null(dst, "dst")?;
    if count > room {
        return Err(invalid(format_args!("count {count} is more than dstMax {room}")));
    }
    direction(kind, sys::ACL_MEMCPY_DEVICE_TO_HOST)?;
    log::trace!("{count} bytes at {offset}");
    Err(unknown(symbol))
}

fn to(
    symbol: *const c_void,
    src: *const c_void,
    (count, offset): (usize, usize),
    kind: aclrtMemcpyKind,
) -> Result<(), aclError> {
    if count == 0 {
        return Ok(());
    }
    not_null(symbol, "symbol")?;
    not_null(src, "src")?;
    direction(kind, sys::ACL_MEMCPY_HOST_TO_DEVICE)?;
    log::trace!("{count} bytes at {offset}");
    Err(unknown(symbol))
}

fn direction(kind: aclrtMemcpyKind, only: aclrtMemcpyKind) -> Result<(), aclError> {
    if kind == only || kind == sys::ACL_MEMCPY_DEFAULT {
        return Ok(());
    }
    Err(invalid(format_args!("copy kind {} does not fit a symbol", kind.0)))
}

/// 107002 without a context, 107043 with one.
fn unknown(symbol: *const c_void) -> aclError {
    match current_context() {
        Err(code) => code,
        Ok(_) => fail(
            sys::ACL_ERROR_RT_INVALID_SYMBOL,
            format_args!(
                "{symbol:p} is no symbol of a variable: only what the kernel compiler makes registers some"
            ),
        ),
    }
}
