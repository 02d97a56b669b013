//! The page's side of a command: what it is told, and what it is asked.

use js_sys::{Function, Promise};
use momedo_client::ClientError;
use momedo_client::progress::Step;
use send_wrapper::SendWrapper;
use serde::Serialize;
use serde_json::{Value, json};
use wasm_bindgen::{JsCast, JsValue};

use crate::scope::{settled, words};

/// Functions of JavaScript: `tell(kind, json)` with `line` or `step`, and `ask()`, which promises a line that a person types.
pub(crate) struct Page {
    tell: SendWrapper<Function>,
    ask: SendWrapper<Function>,
}

impl Page {
    pub(crate) fn new(tell: Function, ask: Function) -> Self {
        Self { tell: SendWrapper::new(tell), ask: SendWrapper::new(ask) }
    }

    fn tell(&self, kind: &str, value: &Value) {
        // Whoever does not listen misses it.
        let _: Result<JsValue, JsValue> =
            self.tell.call2(&JsValue::UNDEFINED, &kind.into(), &value.to_string().into());
    }

    /// A line of JSON, as the command line prints it.
    ///
    /// # Errors
    /// When it is none.
    pub(crate) fn line(&self, line: &impl Serialize) -> Result<(), ClientError> {
        let line = serde_json::to_value(line).map_err(|error| ClientError::Protocol(error.to_string()))?;
        self.tell("line", &line);
        Ok(())
    }

    /// A line for each.
    ///
    /// # Errors
    /// When one is none.
    pub(crate) fn lines(&self, lines: &[impl Serialize]) -> Result<(), ClientError> {
        lines.iter().try_for_each(|line| self.line(line))
    }

    /// Something that takes a while.
    pub(crate) fn step(&self, step: Step) {
        self.tell("step", &step_words(step));
    }

    /// A line that a person types, as the command line reads it from standard input.
    ///
    /// # Errors
    /// When nobody can be asked.
    pub(crate) async fn typed(&self) -> Result<String, ClientError> {
        let failed = |error: JsValue| ClientError::Protocol(words(&error));
        let asked = self.ask.call0(&JsValue::UNDEFINED).map_err(failed)?;
        let promise: Promise = asked.dyn_into().map_err(failed)?;
        Ok(settled(promise).await.map_err(failed)?.as_string().unwrap_or_default())
    }
}

/// A step as JSON.
fn step_words(step: Step) -> Value {
    let progress = |name: &str, done: u64, total: u64| json!({ "step": name, "done": done, "total": total });
    match step {
        Step::MakingKeys => json!({ "step": "making-keys" }),
        Step::SendingKey => json!({ "step": "sending-key" }),
        Step::FetchingKey => json!({ "step": "fetching-key" }),
        Step::FetchingKeys { done, total } => progress("fetching-keys", done as u64, total as u64),
        Step::HandingOutKeys { done, total } => progress("handing-out-keys", done as u64, total as u64),
        Step::Uploading { done, total } => progress("uploading", done, total),
        Step::Downloading { done, total } => progress("downloading", done, total),
        Step::ClocksDiffer(_) => json!({ "step": "clocks-differ" }),
    }
}
