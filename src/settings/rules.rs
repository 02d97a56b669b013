//! What admins change while the server runs, as far as it follows from the table.

use super::{Config, Origin, Rule, Rules, Setting, Value, changeable};

impl Rule {
    /// What `rules` say of it.
    pub fn get(&self, rules: &Rules) -> Option<Value> {
        (self.get)(rules)
    }

    /// Makes `rules` say this of it; false if it is a value of another kind.
    pub fn set(&self, rules: &mut Rules, value: &Value) -> bool {
        (self.set)(rules, value)
    }
}

impl Rules {
    /// What they say, and of which settings.
    pub fn given(&self) -> impl Iterator<Item = (&'static Setting, &'static Rule, Value)> {
        changeable().filter_map(|(setting, rule)| Some((setting, rule, rule.get(self)?)))
    }

    /// `config` with these rules where whoever started the server says nothing.
    pub fn over(&self, config: &Config) -> Config {
        let mut config = config.clone();
        for (setting, rule, _) in self.given() {
            if !config.is_fixed(setting.name) {
                (rule.lay)(self, &mut config, setting.kind.unit().of_rule());
                config.origins.note(setting.name, Origin::Page);
            }
        }
        config
    }

    /// Takes over what `change` says.
    pub fn merge(&mut self, change: &Self) {
        for (_, rule, value) in change.given() {
            rule.set(self, &value);
        }
        self.link_port = change.link_port.or(self.link_port);
    }
}
