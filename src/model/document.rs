//! Manifests as text: one pod, or a file with several documents and Lists.

use serde_json::Value;

use super::config::{ConfigMap, PersistentVolumeClaim, Secret};
use super::decode;
use super::errors::{ErrorType, Errors, FieldError};
use super::objects::Object;
use super::path::Step;
use super::pod::Pod;
use super::text::{self, Limits, Place};
use super::valid::Valid;

impl Pod {
    /// Reads one pod from YAML.
    ///
    /// Everything is reported at once: wrong types, fields that are not Kubernetes', each with line and column.
    ///
    /// ```
    /// use podlife::model::Pod;
    ///
    /// let pod = Pod::from_yaml("
    /// apiVersion: v1
    /// kind: Pod
    /// metadata: {name: web}
    /// spec:
    ///   containers: [{name: web, image: nginx}]
    /// ").unwrap();
    /// assert_eq!(pod.spec.containers[0].name, "web");
    /// ```
    ///
    /// # Errors
    /// What is not YAML, not one Pod, or larger than the default [`Limits`].
    #[cfg(feature = "yaml")]
    pub fn from_yaml(text: &str) -> Result<Pod, Errors> {
        let limits = Limits::default();
        one_pod(text::yaml_trees(text, &limits)?, text, &limits)
    }

    /// Reads one pod from JSON. This is the fast way: nothing is built but the pod, unless there is an error.
    ///
    /// ```
    /// use podlife::model::Pod;
    ///
    /// let json = br#"{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": [{"name": "web"}]}}"#;
    /// assert_eq!(Pod::from_json(json).unwrap().spec.containers[0].name, "web");
    /// ```
    ///
    /// # Errors
    /// What is not JSON, not one Pod, or larger than the default [`Limits`].
    pub fn from_json(json: &[u8]) -> Result<Pod, Errors> {
        let limits = Limits::default();
        limits.check_json(json)?;
        match serde_json::from_slice::<Pod>(json) {
            Ok(pod) if pod.says_its_kind() => Ok(pod),
            _ => {
                let trees = text::json_trees(json, &limits)?;
                one_pod(trees, &String::from_utf8_lossy(json), &limits)
            }
        }
    }

    /// Reads one pod from text that is either.
    pub(super) fn from_text(text: &str) -> Result<Pod, Errors> {
        let limits = Limits::default();
        one_pod(text::trees(text, &limits)?, text, &limits)
    }
}

/// The objects of a file: documents separated by `---`, and Lists of objects.
///
/// ```
/// use podlife::model::Documents;
///
/// let documents = Documents::read("
/// {apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {colour: blue}}
/// ---
/// {apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: web, image: nginx}]}}
/// ").unwrap();
/// assert_eq!(documents.pods.len(), 1);
/// assert_eq!(documents.config_maps[0].data["colour"], "blue");
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Documents {
    /// The pods, in order.
    pub pods: Vec<Pod>,
    /// The ConfigMaps.
    pub config_maps: Vec<ConfigMap>,
    /// The Secrets.
    pub secrets: Vec<Secret>,
    /// The PersistentVolumeClaims.
    pub claims: Vec<PersistentVolumeClaim>,
    /// Where each pod was.
    places: Vec<Place>,
}

impl Documents {
    /// Reads a whole file, YAML or JSON, within the default [`Limits`].
    ///
    /// # Errors
    /// Everything that is wrong, in any of its documents; kinds that podlife does not know are [`ErrorType::NotSupported`].
    pub fn read(text: &str) -> Result<Documents, Errors> {
        Documents::read_within(text, &Limits::default())
    }

    /// Reads a whole file within other limits.
    ///
    /// # Errors
    /// As [`Documents::read`].
    pub fn read_within(text: &str, limits: &Limits) -> Result<Documents, Errors> {
        let mut documents = Documents::default();
        let mut errors = Vec::new();
        for (document, tree) in text::trees(text, limits)?.into_iter().enumerate() {
            let place = Place {
                document,
                steps: Vec::new(),
            };
            documents.add(tree, place, None, &mut errors);
        }
        Errors::check(text::locate(errors, text, limits))?;
        Ok(documents)
    }

    /// Checks each pod; `text` is what the documents were read from, so that errors can show it.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn validate(&self, text: &str) -> Result<Vec<Valid<Pod>>, Errors> {
        let mut errors = Vec::new();
        let mut pods = Vec::new();
        for (pod, place) in self.pods.iter().zip(&self.places) {
            match pod.clone().validate() {
                Ok(pod) => pods.push(pod),
                Err(found) => errors.extend(found.into_iter().map(|error| (place.clone(), error))),
            }
        }
        Errors::check(text::locate(errors, text, &Limits::default()))?;
        Ok(pods)
    }

    /// The ConfigMaps and Secrets.
    pub fn objects(&self) -> impl Iterator<Item = Object> + '_ {
        let maps = self.config_maps.iter().cloned().map(Object::from);
        maps.chain(self.secrets.iter().cloned().map(Object::from))
    }

    /// Adds an object; `implied` is the kind that the items of a typed list need not repeat.
    fn add(
        &mut self,
        tree: Value,
        place: Place,
        implied: Option<&str>,
        errors: &mut Vec<(Place, FieldError)>,
    ) {
        let kind = match kind_of(&tree, implied) {
            Ok(kind) => kind,
            Err(error) => return errors.push((place, error)),
        };
        let added = match kind.as_str() {
            "Pod" => decode::read(tree).map(|pod| {
                self.pods.push(pod);
                self.places.push(place.clone());
            }),
            "ConfigMap" => decode::read(tree).map(|object| self.config_maps.push(object)),
            "Secret" => decode::read(tree).map(|object| self.secrets.push(object)),
            "PersistentVolumeClaim" => decode::read(tree).map(|object| self.claims.push(object)),
            list => return self.add_items(tree, &place, list.strip_suffix("List"), errors),
        };
        for error in added.err().into_iter().flatten() {
            errors.push((place.clone(), error));
        }
    }

    fn add_items(
        &mut self,
        tree: Value,
        place: &Place,
        of: Option<&str>,
        errors: &mut Vec<(Place, FieldError)>,
    ) {
        let items = match tree {
            Value::Object(mut fields) => fields.remove("items").unwrap_or_default(),
            _ => Value::Null,
        };
        let Value::Array(items) = items else {
            let error = FieldError::new(
                "items",
                ErrorType::TypeInvalid,
                "a List has a list of items",
            );
            return errors.push((place.clone(), error));
        };
        for (index, item) in items.into_iter().enumerate() {
            let mut place = place.clone();
            place
                .steps
                .extend([Step::Name("items".into()), Step::Index(index)]);
            self.add(item, place, of.filter(|kind| !kind.is_empty()), errors);
        }
    }
}

const KINDS: [&str; 4] = ["Pod", "ConfigMap", "Secret", "PersistentVolumeClaim"];

/// The kind of an object, if it is one of [`KINDS`] or a list of them.
fn kind_of(tree: &Value, implied: Option<&str>) -> Result<String, FieldError> {
    let Value::Object(fields) = tree else {
        let found = match tree {
            Value::Array(_) => "a list",
            Value::String(_) => "a string",
            Value::Null => "nothing",
            _ => "a number or boolean",
        };
        let detail = format!(
            "a manifest is a mapping with apiVersion, kind, metadata and spec, not {found}"
        );
        return Err(FieldError::new("", ErrorType::TypeInvalid, detail));
    };
    let (kind, version) = (fields.get("kind"), fields.get("apiVersion"));
    let kind = match (kind, implied) {
        (Some(Value::String(kind)), _) => kind.as_str(),
        (None | Some(Value::Null), Some(kind)) => kind,
        (None | Some(Value::Null), None) => {
            let detail = "a manifest says its kind, such as Pod";
            return Err(FieldError::new("kind", ErrorType::Required, detail));
        }
        _ => {
            return Err(FieldError::new(
                "kind",
                ErrorType::TypeInvalid,
                "a word such as Pod is expected",
            ));
        }
    };
    let item = kind.strip_suffix("List").unwrap_or(kind);
    if !KINDS.contains(&item) && kind != "List" {
        let detail = "podlife reads Pod, ConfigMap, Secret, PersistentVolumeClaim and List";
        return Err(FieldError::new("kind", ErrorType::NotSupported, detail).of_value(kind));
    }
    match version {
        Some(Value::String(version)) if version == "v1" => Ok(kind.to_owned()),
        None | Some(Value::Null) if implied.is_some() => Ok(kind.to_owned()),
        Some(Value::String(version)) => {
            let detail = format!("the apiVersion of a {kind} is v1");
            Err(FieldError::new("apiVersion", ErrorType::NotSupported, detail).of_value(version))
        }
        _ => Err(FieldError::new(
            "apiVersion",
            ErrorType::Required,
            format!("the apiVersion of a {kind} is v1"),
        )),
    }
}

fn one_pod(mut trees: Vec<Value>, text: &str, limits: &Limits) -> Result<Pod, Errors> {
    let pod = match (trees.pop(), trees.len()) {
        (Some(tree), 0) => match kind_of(&tree, None) {
            Ok(kind) if kind == "Pod" => decode::read(tree),
            Ok(kind) => {
                Err(
                    FieldError::new("kind", ErrorType::NotSupported, "one Pod is expected")
                        .of_value(kind)
                        .into(),
                )
            }
            Err(error) => Err(error.into()),
        },
        (None, _) => {
            let detail = "one Pod is expected, and there is nothing";
            Err(FieldError::new("", ErrorType::Required, detail).into())
        }
        (Some(_), others) => {
            let detail = format!("one Pod is expected, not {} documents", others + 1);
            Err(FieldError::new("", ErrorType::Forbidden, detail).into())
        }
    };
    pod.map_err(|errors| text::locate_one(errors, text, limits))
}
