//! The closed layer: what has been defaulted and checked, and stays so.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use super::errors::Errors;
use super::options::PodOptions;
use super::pod::Pod;
use super::report::FieldReport;
use super::text::{self, Limits};
use super::{defaults, validate};

/// Defaulted, checked and immutable; a clone costs nothing. The only thing a Node or a `PodMachine` accepts.
///
/// It is made by [`Pod::validate`] or from text, and by nothing else.
///
/// ```
/// use podlife::model::{Pod, Valid};
///
/// let text = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web"},
///                "spec": {"containers": [{"name": "web", "image": "nginx"}]}}"#;
/// let pod: Valid<Pod> = text.try_into().unwrap();
/// assert_eq!(pod.spec.termination_grace_period_seconds, Some(30));
/// assert_eq!(pod.metadata.namespace.as_deref(), Some("default"));
/// ```
pub struct Valid<T>(Arc<Checked<T>>);

struct Checked<T> {
    value: T,
    report: OnceLock<FieldReport>,
}

impl<T> Valid<T> {
    fn vouch(value: T) -> Valid<T> {
        Valid(Arc::new(Checked {
            value,
            report: OnceLock::new(),
        }))
    }
}

impl<T: Clone> Valid<T> {
    /// Opens it again, to change it; it has to be validated anew.
    pub fn edit(self) -> T {
        match Arc::try_unwrap(self.0) {
            Ok(checked) => checked.value,
            Err(shared) => shared.value.clone(),
        }
    }
}

impl Valid<Pod> {
    /// What podlife does with each field that is present.
    pub fn report(&self) -> &FieldReport {
        self.0.report.get_or_init(|| FieldReport::of(&self.0.value))
    }
}

impl Pod {
    /// The pod with Kubernetes' defaults filled in.
    ///
    /// ```
    /// use podlife::model::{Container, Pod, RestartPolicy};
    ///
    /// let pod = Pod::new("web").container(Container::new("web", "nginx:1.29")).defaulted();
    /// assert_eq!(pod.spec.restart_policy, Some(RestartPolicy::Always));
    /// ```
    #[must_use]
    pub fn defaulted(mut self) -> Pod {
        defaults::pod(&mut self);
        self
    }

    /// Fills in defaults, then checks everything Kubernetes checks.
    ///
    /// # Errors
    /// Everything that is wrong, at once.
    pub fn validate(self) -> Result<Valid<Pod>, Errors> {
        let pod = self.defaulted();
        let mut errors = validate::pod(&pod);
        errors.extend(PodOptions::of(&pod).err().into_iter().flatten());
        Errors::check(errors)?;
        Ok(Valid::vouch(pod))
    }
}

impl TryFrom<Pod> for Valid<Pod> {
    type Error = Errors;

    fn try_from(pod: Pod) -> Result<Valid<Pod>, Errors> {
        pod.validate()
    }
}

/// One pod as text, YAML or JSON. Errors show line and column, those of validation too.
impl TryFrom<&str> for Valid<Pod> {
    type Error = Errors;

    fn try_from(text: &str) -> Result<Valid<Pod>, Errors> {
        let pod = Pod::from_text(text)?.validate();
        pod.map_err(|errors| text::locate_one(errors, text, &Limits::default()))
    }
}

impl<T> Deref for Valid<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Clone for Valid<T> {
    fn clone(&self) -> Valid<T> {
        Valid(Arc::clone(&self.0))
    }
}

impl<T: PartialEq> PartialEq for Valid<T> {
    fn eq(&self, other: &Valid<T>) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.value == other.0.value
    }
}

impl<T: fmt::Debug> fmt::Debug for Valid<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Valid").field(&self.0.value).finish()
    }
}
