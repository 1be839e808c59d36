//! What is wrong with a manifest: every error at once, each with its field, its sort and, from text, its place.

use std::fmt;

use crate::error::Kind;

/// The sort of a [`FieldError`], as Kubernetes names them.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorType {
    /// It has to be there.
    Required,
    /// It has a value that cannot be.
    Invalid,
    /// Its value is none of the known ones.
    NotSupported,
    /// It must not be there, or not together with something else.
    Forbidden,
    /// Its value has to be unique and is not.
    Duplicate,
    /// It names something that is not there.
    NotFound,
    /// It is text where a number is expected, or the like.
    TypeInvalid,
    /// It is longer than allowed.
    TooLong,
    /// It has more elements than allowed.
    TooMany,
    /// There is no such field.
    Unknown,
    /// The text is neither YAML nor JSON.
    Syntax,
    /// The text is larger than will be read.
    TooLarge,
}

impl ErrorType {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorType::Required => "Required",
            ErrorType::Invalid => "Invalid",
            ErrorType::NotSupported => "NotSupported",
            ErrorType::Forbidden => "Forbidden",
            ErrorType::Duplicate => "Duplicate",
            ErrorType::NotFound => "NotFound",
            ErrorType::TypeInvalid => "TypeInvalid",
            ErrorType::TooLong => "TooLong",
            ErrorType::TooMany => "TooMany",
            ErrorType::Unknown => "Unknown",
            ErrorType::Syntax => "Syntax",
            ErrorType::TooLarge => "TooLarge",
        }
    }

    /// How a sentence about it starts.
    fn phrase(self) -> &'static str {
        match self {
            ErrorType::Required => "required",
            ErrorType::Invalid => "invalid value",
            ErrorType::NotSupported => "unsupported value",
            ErrorType::Forbidden => "forbidden",
            ErrorType::Duplicate => "duplicate value",
            ErrorType::NotFound => "not found",
            ErrorType::TypeInvalid => "wrong type",
            ErrorType::TooLong => "too long",
            ErrorType::TooMany => "too many",
            ErrorType::Unknown => "unknown field",
            ErrorType::Syntax => "syntax error",
            ErrorType::TooLarge => "too large",
        }
    }
}

impl fmt::Display for ErrorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A place in a text. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
    /// The line's text.
    pub source: String,
}

/// How much of a source line is shown.
const SHOWN: usize = 100;

impl Position {
    pub(super) fn in_text(text: &str, line: usize, column: usize) -> Position {
        let source = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
        // A line may be megabytes long. What is kept must be enough to show the column.
        let source = source.chars().take(column.saturating_add(SHOWN)).collect();
        Position {
            line,
            column,
            source,
        }
    }
}

/// Line and column, then the source line with a caret under the column.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Position {
            line,
            column,
            source,
        } = self;
        let skipped = column.saturating_sub(SHOWN * 3 / 4);
        // A tab shows as an arrow: it is often the error. Other control characters must not reach a terminal.
        let shown = source
            .chars()
            .skip(skipped)
            .take(SHOWN)
            .map(|letter| match letter {
                '\t' => '→',
                letter if letter.is_control() => '·',
                letter => letter,
            });
        let shown: String = shown.collect();
        let number = line.to_string();
        let margin = " ".repeat(number.len());
        let indent = " ".repeat(column.saturating_sub(1).saturating_sub(skipped));
        write!(
            f,
            "  --> line {line}, column {column}\n  {number} | {}\n  {margin} | {indent}^",
            shown.trim_end()
        )
    }
}

/// One thing that is wrong.
///
/// Its text has the field first, then what is wrong with it, then its place if it came from text:
///
/// ```text
/// spec.containers[0].imagePullPolicy: unsupported value "Sometimes": use Always, IfNotPresent or Never
///   --> line 8, column 22
///   8 |     imagePullPolicy: Sometimes
///     |                      ^
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// Kubernetes' path of the field, such as `spec.containers[0].name`; empty for the whole document.
    pub field: String,
    /// The sort.
    pub error_type: ErrorType,
    /// The value that is wrong, as far as it can be shown.
    pub value: Option<String>,
    /// What would be right; may be empty.
    pub detail: String,
    /// Where it is in the text it was read from.
    pub position: Option<Position>,
}

impl FieldError {
    pub(super) fn new(
        field: impl fmt::Display,
        error_type: ErrorType,
        detail: impl Into<String>,
    ) -> FieldError {
        FieldError {
            field: field.to_string(),
            error_type,
            value: None,
            detail: detail.into(),
            position: None,
        }
    }

    pub(super) fn of_value(mut self, value: impl fmt::Display) -> FieldError {
        self.value = Some(value.to_string());
        self
    }

    pub(super) fn at(mut self, position: Option<Position>) -> FieldError {
        self.position = position;
        self
    }
}

/// How much of a value is shown.
const VALUE_SHOWN: usize = 80;

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field.escape_debug())?;
        }
        f.write_str(self.error_type.phrase())?;
        if let Some(value) = &self.value {
            let cut: String = value.chars().take(VALUE_SHOWN).collect();
            let rest = if cut.len() < value.len() { "…" } else { "" };
            write!(f, " \"{}{rest}\"", cut.escape_debug())?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        match &self.position {
            Some(position) => write!(f, "\n{position}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for FieldError {}

/// Everything that is wrong with a manifest; never empty.
///
/// ```
/// use podlife::model::{ErrorType, Pod};
///
/// let errors = Pod::new("web").validate().unwrap_err();
/// let error = errors.iter().next().unwrap();
/// assert_eq!(error.error_type, ErrorType::Required);
/// assert_eq!(error.to_string(), "spec.containers: required: a pod needs at least one container");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Errors(pub(super) Vec<FieldError>);

impl Errors {
    /// `errors` as a result: `Ok` if there are none.
    pub(super) fn check(errors: Vec<FieldError>) -> Result<(), Errors> {
        if errors.is_empty() {
            Ok(())
        } else {
            Err(Errors(errors))
        }
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, FieldError> {
        self.0.iter()
    }

    /// How many there are; at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl From<FieldError> for Errors {
    fn from(error: FieldError) -> Errors {
        Errors(vec![error])
    }
}

impl IntoIterator for Errors {
    type Item = FieldError;
    type IntoIter = std::vec::IntoIter<FieldError>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Errors {
    type Item = &'a FieldError;
    type IntoIter = std::slice::Iter<'a, FieldError>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// How many are written out.
const ERRORS_SHOWN: usize = 50;

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write!(f, "{only}");
        }
        write!(f, "{} errors", self.len())?;
        for error in self.0.iter().take(ERRORS_SHOWN) {
            write!(f, "\n{error}")?;
        }
        match self.len().saturating_sub(ERRORS_SHOWN) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

/// The same text: `unwrap` and `main` print it.
impl fmt::Debug for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl std::error::Error for Errors {}

impl From<Errors> for crate::Error {
    fn from(errors: Errors) -> crate::Error {
        crate::Error::caused(Kind::Invalid, "accept the manifest", errors)
    }
}
