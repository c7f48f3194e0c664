//! What is not as it should be with an object's own file.

use crate::symbolizer::ObjectRef;

/// Why the file at an object's path is not, or not surely, the one that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileNote {
    /// There is none.
    Gone,
    /// There is one, and nothing to tell whether it is the same.
    Doubtful,
    /// There is one with another build id.
    OtherBuild,
}

impl FileNote {
    /// The sentence for people.
    pub(crate) fn sentence(self, object: &ObjectRef) -> String {
        let shown = object.path.display();
        match self {
            FileNote::Gone => format!("{shown}: is not there any more"),
            FileNote::Doubtful => format!(
                "{shown}: was recorded without a build id, so nobody can tell whether it is still the same file"
            ),
            FileNote::OtherBuild => format!(
                "{shown}: is another build than the one that was recorded ({}); its symbols are not used",
                object.build_id.as_deref().unwrap_or_default()
            ),
        }
    }
}
