//! Where source files lie in the repository, so that an annotation finds its line: a profile knows no more than
//! `com/acme/Codec.java`.

use std::path::PathBuf;

/// Where Gradle, Maven and most others keep them.
const USUAL: [&str; 6] =
    ["src/main/java", "src/test/java", "src/main/kotlin", "src/test/kotlin", "src/main/scala", "src"];

/// Directories that source files are looked for in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sources {
    /// The repository: what paths are relative to; empty for the current directory.
    pub folder: PathBuf,
    /// `app.source_roots` of leakscope.toml, below it; empty for the usual ones.
    pub roots: Vec<PathBuf>,
}

impl Sources {
    /// Path of a file in the repository; the name that it came by where it is not found.
    pub fn find(&self, file: &str) -> String {
        let usual = USUAL.map(PathBuf::from);
        let roots = if self.roots.is_empty() { &usual[..] } else { &self.roots };
        let mut paths = roots.iter().map(|root| root.join(file));
        let found = paths.find(|path| self.folder.join(path).is_file());
        found.map_or_else(|| file.to_owned(), |path| path.to_string_lossy().into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_found_below_its_root() {
        let repository = tempfile::tempdir().unwrap();
        let folder = repository.path().to_owned();
        for root in ["src/main/java", "server/java"] {
            fs::create_dir_all(folder.join(root).join("com/acme")).unwrap();
        }
        fs::write(folder.join("src/main/java/com/acme/A.java"), "").unwrap();
        fs::write(folder.join("server/java/com/acme/B.java"), "").unwrap();
        let usual = Sources { folder: folder.clone(), roots: Vec::new() };
        assert_eq!(usual.find("com/acme/A.java"), "src/main/java/com/acme/A.java");
        assert_eq!(usual.find("com/acme/B.java"), "com/acme/B.java", "not where it usually is");
        let own = Sources { folder, roots: vec!["server/java".into()] };
        assert_eq!(own.find("com/acme/B.java"), "server/java/com/acme/B.java");
        assert_eq!(own.find("/usr/src/x.c"), "/usr/src/x.c");
    }
}
