//! Amounts by resource name: what a manifest asks for and a status shows.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Index};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::quantity::Quantity;

/// Amounts by resource name, in the order of the names.
///
/// A copy shares its memory with the original until one of them is changed, which copies it: a pod's manifest and the status that
/// says the same of it hold one list. An empty one holds no memory.
///
/// ```
/// use podlife::model::{Quantity, ResourceList};
///
/// let mut limits: ResourceList = [("memory", "64Mi".parse()?), ("cpu", "1".parse()?)].into_iter().collect();
/// assert_eq!(limits["cpu"].to_string(), "1");
/// assert_eq!(limits.keys().collect::<Vec<_>>(), ["cpu", "memory"]);
/// limits.insert("cpu", "500m".parse()?);
/// let mut sum = limits.clone();
/// sum.join(&limits, |one, other| one + other);
/// assert_eq!(serde_json::to_string(&sum).unwrap(), r#"{"cpu":"1","memory":"128Mi"}"#);
/// # Ok::<(), podlife::Error>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ResourceList(Option<Arc<[Entry]>>);

type Entry = (Box<str>, Quantity);

impl ResourceList {
    /// One with nothing in it.
    pub const fn new() -> ResourceList {
        ResourceList(None)
    }

    /// Sets the amount of a resource, and returns the one that it had. Nothing is copied where that is the same.
    pub fn insert(&mut self, name: &str, amount: Quantity) -> Option<Quantity> {
        let before = self.get(name).copied();
        let spelled = |amount: Quantity| (amount, amount.format());
        if before.map(spelled) != Some(spelled(amount)) {
            let one = ResourceList::from_iter([(name, amount)]);
            self.join(&one, |_, new| new);
        }
        before
    }

    /// Takes a resource out, and returns the amount that it had.
    pub fn remove(&mut self, name: &str) -> Option<Quantity> {
        let before = self.get(name).copied()?;
        self.retain(|other| other != name);
        Some(before)
    }

    /// Leaves only the resources whose names are wanted.
    pub fn retain(&mut self, is_wanted: impl Fn(&str) -> bool) {
        if !self.keys().all(&is_wanted) {
            let kept = self.iter().filter(|(name, _)| is_wanted(name));
            *self = kept.map(|(name, amount)| (name, *amount)).collect();
        }
    }

    /// Takes over what `other` lists. Of a resource in both it has what `join` makes of its own amount and the other's.
    pub fn join(&mut self, other: &ResourceList, join: impl Fn(Quantity, Quantity) -> Quantity) {
        if self.is_empty() {
            *self = other.clone();
        } else if !other.is_empty() {
            let all = self.entries().iter().chain(other.entries());
            *self = ResourceList::of(all.cloned().collect(), join);
        }
    }

    /// The amounts, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&str, &mut Quantity)> {
        let all = self.0.as_mut().map(Arc::make_mut).unwrap_or_default();
        all.iter_mut().map(|(name, amount)| (&**name, amount))
    }

    /// The amount of a resource, if it is listed.
    pub fn get(&self, name: &str) -> Option<&Quantity> {
        let all = self.entries();
        let place = all.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
        Some(&all[place].1)
    }

    /// Whether a resource is listed.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The names.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.iter().map(|(name, _)| name)
    }

    /// Names and amounts.
    pub fn iter(&self) -> Iter<'_> {
        self.entries()
            .iter()
            .map(|(name, amount)| (&**name, amount))
    }

    /// How many resources are listed.
    pub fn len(&self) -> usize {
        self.entries().len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    fn entries(&self) -> &[Entry] {
        self.0.as_deref().unwrap_or_default()
    }

    /// Of those with one name, `join` makes one.
    fn of(mut all: Vec<Entry>, join: impl Fn(Quantity, Quantity) -> Quantity) -> ResourceList {
        all.sort_by(|(name, _), (other, _)| name.cmp(other));
        all.dedup_by(|(later, amount), (name, first)| {
            let is_same = later == name;
            if is_same {
                *first = join(*first, *amount);
            }
            is_same
        });
        ResourceList((!all.is_empty()).then(|| all.into()))
    }
}

/// Names and amounts, in the order of the names.
type Iter<'l> =
    std::iter::Map<std::slice::Iter<'l, Entry>, fn(&'l Entry) -> (&'l str, &'l Quantity)>;

impl<'l> IntoIterator for &'l ResourceList {
    type Item = (&'l str, &'l Quantity);
    type IntoIter = Iter<'l>;

    fn into_iter(self) -> Iter<'l> {
        self.iter()
    }
}

/// Of those with one name, the last counts.
impl<N: Into<Box<str>>> FromIterator<(N, Quantity)> for ResourceList {
    fn from_iter<I: IntoIterator<Item = (N, Quantity)>>(all: I) -> ResourceList {
        let all = all.into_iter().map(|(name, amount)| (name.into(), amount));
        ResourceList::of(all.collect(), |_, last| last)
    }
}

/// Together they have of each resource what all of them have.
impl<'l> Sum<&'l ResourceList> for ResourceList {
    fn sum<I: Iterator<Item = &'l ResourceList>>(all: I) -> ResourceList {
        let all = all.flat_map(ResourceList::entries).cloned();
        ResourceList::of(all.collect(), Add::add)
    }
}

/// # Panics
/// If the resource is not listed.
impl Index<&str> for ResourceList {
    type Output = Quantity;

    fn index(&self, name: &str) -> &Quantity {
        self.get(name).expect("the resource is listed")
    }
}

impl fmt::Debug for ResourceList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl Serialize for ResourceList {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de> Deserialize<'de> for ResourceList {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ResourceList, D::Error> {
        let all = BTreeMap::<Box<str>, Quantity>::deserialize(deserializer)?;
        Ok(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Model = BTreeMap<String, Quantity>;

    fn lists() -> impl Strategy<Value = (Model, ResourceList)> {
        let amount = (0i64..9).prop_map(|n| Quantity::new(n, 0, Default::default()));
        proptest::collection::vec(("[a-c]{1,2}", amount), 0..6).prop_map(|all| {
            let list = all.iter().map(|(name, amount)| (name.as_str(), *amount));
            (all.iter().cloned().collect(), list.collect())
        })
    }

    fn same(model: &Model, list: &ResourceList) {
        let all = list.iter().map(|(name, amount)| (name.to_owned(), *amount));
        assert!(all.eq(model.iter().map(|(name, amount)| (name.clone(), *amount))));
        assert_eq!(
            (list.len(), list.is_empty()),
            (model.len(), model.is_empty())
        );
        let json = serde_json::to_string(model).unwrap();
        assert_eq!(serde_json::to_string(list).unwrap(), json);
        assert_eq!(serde_json::from_str::<ResourceList>(&json).unwrap(), *list);
    }

    proptest! {
        /// It does what a map does, and what it was copied from stays as it is.
        #[test]
        fn it_is_a_map(one in lists(), other in lists(), name in "[a-c]{1,2}") {
            let (mut model, mut list) = one.clone();
            let five = Quantity::new(5, 0, Default::default());
            same(&model, &list);
            assert_eq!(list.get(&name), model.get(&name));
            assert_eq!(list.insert(&name, five), model.insert(name.clone(), five));
            same(&model, &list);
            for (name, amount) in &other.0 {
                *model.entry(name.clone()).or_default() += *amount;
            }
            let sum: ResourceList = [&list, &other.1].into_iter().sum();
            list.join(&other.1, |own, other| own + other);
            assert_eq!(sum, list);
            same(&model, &list);
            for (one, other) in list.iter_mut().zip(model.values_mut()) {
                *one.1 += five;
                *other += five;
            }
            same(&model, &list);
            assert_eq!(list.remove(&name), model.remove(&name));
            same(&model, &list);
            list.retain(|name| name.starts_with('a'));
            model.retain(|name, _| name.starts_with('a'));
            same(&model, &list);
            same(&one.0, &one.1);
            same(&other.0, &other.1);
        }
    }

    #[test]
    fn a_copy_is_shared_until_it_is_changed() {
        let list: ResourceList = [("cpu", Quantity::default())].into_iter().collect();
        let mut copy = list.clone();
        let at = |list: &ResourceList| list.entries().as_ptr();
        assert_eq!(at(&copy), at(&list));
        copy.iter_mut()
            .for_each(|(_, amount)| *amount += Quantity::new(1, 0, Default::default()));
        assert_ne!(copy, list);
    }
}
