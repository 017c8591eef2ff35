//! Label selectors.

use std::collections::BTreeMap;

use crate::manifest::cursor::{Cursor, Fields};

/// Which labels an object must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// Labels that it must have with these values.
    pub labels: BTreeMap<String, String>,
    /// Further conditions; all must hold.
    pub expressions: Vec<Expression>,
}

/// A condition on the value of one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expression {
    /// The label.
    pub key: String,
    /// What is asked of its value.
    pub operator: Operator,
    /// The values, for `In` and `NotIn`.
    pub values: Vec<String>,
}

/// What an expression asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// The label has one of the values.
    In,
    /// The label has none of the values; absent counts.
    NotIn,
    /// The label is there.
    Exists,
    /// The label is not there.
    DoesNotExist,
}

impl Selector {
    /// Tells whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.expressions.is_empty()
    }

    /// Tells whether an object with these labels is selected.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.expressions.iter().all(|expression| {
                let value = labels.get(&expression.key);
                match expression.operator {
                    Operator::In => value.is_some_and(|value| expression.values.contains(value)),
                    Operator::NotIn => !value.is_some_and(|value| expression.values.contains(value)),
                    Operator::Exists => value.is_some(),
                    Operator::DoesNotExist => value.is_none(),
                }
            })
    }
}

/// Decodes a map of labels and their values.
pub fn map(field: &Cursor<'_>) -> BTreeMap<String, String> {
    field.entries().into_iter().filter_map(|(key, value)| Some((key.value.clone(), value.text()?.value))).collect()
}

/// Decodes a selector with `matchLabels` and `matchExpressions`.
pub fn decode(field: &Cursor<'_>) -> Selector {
    let decode = |fields: &mut Fields<'_>| Selector {
        labels: fields.get("matchLabels").map(|field| map(&field)).unwrap_or_default(),
        expressions: fields.items("matchExpressions").iter().filter_map(expression).collect(),
    };
    field.fields(decode).unwrap_or_default()
}

fn expression(field: &Cursor<'_>) -> Option<Expression> {
    field.fields(|fields| {
        let key = fields.require("key").and_then(|key| key.filled());
        let operator = fields.require("operator").map(|_| {
            let words =
                [("In", Operator::In), ("NotIn", Operator::NotIn), ("Exists", Operator::Exists), ("DoesNotExist", Operator::DoesNotExist)];
            fields.choice("operator", &words)
        });
        let values = fields.get("values");
        let texts: Vec<String> = values.iter().flat_map(|values| values.texts()).map(|text| text.value).collect();
        match operator {
            Some(Operator::In | Operator::NotIn) if texts.is_empty() => field.error("missing-field", "needs `values`"),
            Some(Operator::Exists | Operator::DoesNotExist) if !texts.is_empty() => field.error("unsupported-field", "takes no `values`"),
            _ => {}
        }
        Some(Expression { key: key?.value, operator: operator?, values: texts })
    })?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_follow_kubernetes() {
        let labels: BTreeMap<String, String> = [("app".to_owned(), "web".to_owned())].into();
        let one = |key: &str, operator, values: &[&str]| Selector {
            labels: BTreeMap::new(),
            expressions: vec![Expression {
                key: key.to_owned(),
                operator,
                values: values.iter().map(|value| (*value).to_owned()).collect(),
            }],
        };
        for (key, operator, values, expected) in [
            ("app", Operator::In, &["web", "api"][..], true),
            ("app", Operator::In, &["api"], false),
            ("tier", Operator::In, &["web"], false),
            ("app", Operator::NotIn, &["web"], false),
            ("tier", Operator::NotIn, &["web"], true),
            ("app", Operator::Exists, &[], true),
            ("tier", Operator::Exists, &[], false),
            ("tier", Operator::DoesNotExist, &[], true),
            ("app", Operator::DoesNotExist, &[], false),
        ] {
            assert_eq!(one(key, operator, values).matches(&labels), expected, "{key} {operator:?} {values:?}");
        }
    }
}
