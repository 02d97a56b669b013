//! The worker's global scope, and what of JavaScript the other rooms share.

use js_sys::{Function, Promise, Reflect};
use momedo_client::ClientError;
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::WorkerGlobalScope;

/// The worker this runs in.
///
/// # Errors
/// [`ClientError::Protocol`] elsewhere.
pub(crate) fn scope() -> Result<WorkerGlobalScope, ClientError> {
    js_sys::global()
        .dyn_into()
        .map_err(|_| ClientError::Protocol("this runs in a browser's worker alone".into()))
}

/// Waits for a promise. A worker has one thread, so what it waits for never meets another.
pub(crate) fn settled(promise: Promise) -> SendWrapper<JsFuture> {
    SendWrapper::new(JsFuture::from(promise))
}

/// What JavaScript says is wrong, as text.
pub(crate) fn words(error: &JsValue) -> String {
    let read = |name: &str| Reflect::get(error, &name.into()).ok().and_then(|value| value.as_string());
    match (read("name"), read("message")) {
        (Some(name), Some(message)) if !message.is_empty() => format!("{name}: {message}"),
        (Some(name), _) => name,
        _ => error.as_string().unwrap_or_else(|| format!("{error:?}")),
    }
}

/// The name of an error, such as `QuotaExceededError`.
pub(crate) fn name_of(error: &JsValue) -> String {
    Reflect::get(error, &"name".into()).ok().and_then(|value| value.as_string()).unwrap_or_default()
}

/// A promise that is kept after so many milliseconds.
pub(crate) fn after(milliseconds: i32) -> Result<Promise, ClientError> {
    let scope = scope()?;
    Ok(Promise::new(&mut |resolve: Function, _| {
        // It cannot fail for a function; were it to, nobody would wait longer than needed.
        if scope.set_timeout_with_callback_and_timeout_and_arguments_0(&resolve, milliseconds).is_err() {
            let _: Result<JsValue, JsValue> = resolve.call0(&JsValue::UNDEFINED);
        }
    }))
}
