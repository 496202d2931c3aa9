//! The configured business numbers and what they may do. Read-only while the program runs.

use ponte_domain::conversation::Directory;
use ponte_domain::ids::NumberId;
use ponte_domain::ports::store::SendLimits;
use std::collections::HashMap;

/// One business number.
#[derive(Debug, Clone)]
pub struct Number {
    /// Meta's `phone_number_id`.
    pub id: NumberId,
    /// Its WhatsApp Business (messaging) account.
    pub waba_id: String,
    /// Brand whose consent counts for it.
    pub brand: Option<String>,
    /// Its limits; the portfolio is in them.
    pub limits: SendLimits,
}

/// The configured numbers.
#[derive(Debug, Default)]
pub struct Numbers {
    numbers: HashMap<NumberId, Number>,
    order: Vec<NumberId>,
    portfolios: HashMap<String, String>,
}

impl Numbers {
    /// The numbers in the order of the configuration: the first is the default sender.
    #[must_use]
    pub fn new(numbers: Vec<Number>) -> Self {
        Self {
            order: numbers.iter().map(|n| n.id.clone()).collect(),
            portfolios: numbers.iter().map(|n| (n.waba_id.clone(), n.limits.portfolio.clone())).collect(),
            numbers: numbers.into_iter().map(|n| (n.id.clone(), n)).collect(),
        }
    }

    /// A number by its id.
    #[must_use]
    pub fn get(&self, id: &NumberId) -> Option<&Number> {
        self.numbers.get(id)
    }

    /// The default sender.
    #[must_use]
    pub fn default_number(&self) -> Option<&Number> {
        self.order.first().and_then(|id| self.numbers.get(id))
    }

    /// All of them, in order.
    pub fn all(&self) -> impl Iterator<Item = &Number> {
        self.order.iter().filter_map(|id| self.numbers.get(id))
    }
}

impl Directory for Numbers {
    fn portfolio(&self, waba_id: &str) -> String {
        self.portfolios.get(waba_id).cloned().unwrap_or_else(|| waba_id.to_owned())
    }

    fn knows(&self, number: &NumberId) -> bool {
        self.numbers.contains_key(number)
    }

    fn numbers_of(&self, waba_id: &str) -> Vec<NumberId> {
        self.all().filter(|n| n.waba_id == waba_id).map(|n| n.id.clone()).collect()
    }
}
