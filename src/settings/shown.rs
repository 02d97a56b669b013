//! Settings in force, as JSON.

use serde_json::json;

use super::{Config, SETTINGS, Setting};

/// Every setting, one object each, with its value and where that came from.
pub fn lines(config: &Config) -> Vec<serde_json::Value> {
    SETTINGS.iter().map(|setting| line(setting, config)).collect()
}

fn line(setting: &Setting, config: &Config) -> serde_json::Value {
    let range = setting.kind.range();
    json!({
        "setting": setting.name,
        "value": setting.value(config).to_json(),
        "unit": setting.kind.unit().word(),
        "origin": config.origins.of(setting.name).word(),
        "default": setting.value(&Config::default()).to_json(),
        "least": range.map(|range| range.first()),
        "most": range.map(|range| range.most),
        "rule": setting.rule.as_ref().map(|rule| rule.name),
    })
}
