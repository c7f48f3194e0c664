//! JVMs without Java stacks, and options that hide parts of a JVM from everybody outside.

use super::Finding;
use std::fs;
use std::path::{Path, PathBuf};

/// Variables whose text a JVM takes for options, in the order in which it reads them. Later options win.
const VARIABLES: [&str; 3] = ["JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS"];

/// A JVM's own files, and the options that it has or would have.
#[derive(Debug, Default)]
pub struct Jvm {
    /// Its home; `None` where it is not known.
    pub home: Option<PathBuf>,
    /// Options, each with where it comes from.
    pub options: Vec<(String, String)>,
}

impl Jvm {
    /// With the arguments of its command line, and variables.
    pub fn new(home: Option<PathBuf>, arguments: &[String], variable: impl Fn(&str) -> Option<String>) -> Self {
        let mut options = Vec::new();
        let mut add = |text: &str, from: &str| {
            options.extend(text.split_whitespace().map(|option| (option.to_owned(), from.to_owned())));
        };
        let text = |name| variable(name).unwrap_or_default();
        let [tool, jdk, last] = VARIABLES;
        add(&text(tool), tool);
        add(&text(jdk), jdk);
        arguments.iter().for_each(|argument| add(argument, "the command line"));
        add(&text(last), last);
        Self { home, options }
    }

    /// The home of the JVM that `java`, or a library `libjvm.so`, belongs to.
    pub fn home_of(file: &Path) -> Option<PathBuf> {
        let file = fs::canonicalize(file).ok()?;
        file.ancestors().skip(1).take(5).find(|folder| folder.join("release").is_file()).map(Path::to_owned)
    }

    /// All that can be said of it.
    pub fn findings(&self) -> Vec<Finding> {
        let mut findings = vec![self.kind()];
        findings.extend(self.hidden_counters());
        if let Some(from) = self.last(&["-XX:+DisableAttachMechanism"], &["-XX:-DisableAttachMechanism"]) {
            findings.push(Finding::warn(
                "jvm-attach",
                format!("-XX:+DisableAttachMechanism ({from}) hides the JVM's native memory tracking"),
                "Leave the option out, or do without the JVM's own split of its memory",
            ));
        }
        findings
    }

    fn kind(&self) -> Finding {
        let release =
            self.home.as_ref().and_then(|home| fs::read_to_string(home.join("release")).ok()).unwrap_or_default();
        let value = |key: &str| {
            let line = release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            line.unwrap_or_default().trim_matches('"').to_owned()
        };
        let (version, variant) = (value("JAVA_VERSION"), value("JVM_VARIANT"));
        if release.is_empty() {
            return Finding::warn(
                "jvm",
                "which JVM it is cannot be seen",
                "Java stacks come from HotSpot, JDK 8 and later",
            );
        }
        if !variant.is_empty() && !variant.eq_ignore_ascii_case("hotspot") {
            return Finding::warn(
                "jvm",
                format!("{variant} {version} gives no Java stacks: native frames only"),
                "Use a HotSpot JVM to see Java frames",
            );
        }
        if version.starts_with("1.8") {
            return Finding::warn(
                "jvm",
                format!("JDK {version} gives Java stacks only if it names its threads"),
                "Updates as new as 8u504 do; if `ps -T` shows no `VM Thread`, native frames only",
            );
        }
        if version.starts_with("1.") {
            return Finding::warn(
                "jvm",
                format!("JDK {version} gives no Java stacks: native frames only"),
                "Use JDK 8 or later to see Java frames",
            );
        }
        Finding::ok("jvm", format!("JDK {version} gives Java stacks"))
    }

    /// Options that keep the JVM's performance data away, from which the timeline takes heap, metaspace and collections.
    fn hidden_counters(&self) -> Option<Finding> {
        let off = self.last(&["-XX:-UsePerfData"], &["-XX:+UsePerfData"]);
        let alone = self.last(&["-XX:+PerfDisableSharedMem"], &["-XX:-PerfDisableSharedMem"]);
        let (option, from) = match (off, alone) {
            (Some(from), _) => ("-XX:-UsePerfData", from),
            (None, Some(from)) => ("-XX:+PerfDisableSharedMem", from),
            (None, None) => return None,
        };
        Some(Finding::warn(
            "jvm-counters",
            format!("{option} ({from}) hides the JVM's counters: no heap, metaspace and collections in the timeline"),
            "Leave the option out",
        ))
    }

    /// Where the last of these options comes from, unless one of the opposite comes later.
    fn last(&self, options: &[&str], opposite: &[&str]) -> Option<&str> {
        let known =
            |(option, _): &&(String, String)| options.contains(&option.as_str()) || opposite.contains(&option.as_str());
        let (option, from) = self.options.iter().rev().find(known)?;
        options.contains(&option.as_str()).then_some(from)
    }
}

/// Whether a program is a JVM's launcher, by its name.
pub fn is_launcher(program: &Path) -> bool {
    program.file_name().is_some_and(|name| name == "java" || name == "javac")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Severity;

    fn ids(arguments: &[&str], tool_options: &str) -> Vec<(&'static str, Severity)> {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let variable = |name: &str| (name == "JAVA_TOOL_OPTIONS").then(|| tool_options.to_owned());
        let jvm = Jvm::new(None, &arguments, variable);
        jvm.findings().iter().skip(1).map(|finding| (finding.id, finding.severity)).collect()
    }

    #[test]
    fn options_that_hide_something_are_found_wherever_they_stand() {
        let (counters, attach) = (("jvm-counters", Severity::Warn), ("jvm-attach", Severity::Warn));
        assert_eq!(ids(&["java", "-jar", "app.jar"], ""), []);
        assert_eq!(ids(&["java", "-XX:-UsePerfData", "-jar", "app.jar"], ""), [counters]);
        assert_eq!(ids(&["java"], "-Xmx1g -XX:+PerfDisableSharedMem -XX:+DisableAttachMechanism"), [counters, attach]);
        assert_eq!(ids(&["java", "-XX:+UsePerfData"], "-XX:-UsePerfData"), [], "the later one wins");
    }

    #[test]
    fn jvms_are_told_by_their_release_file() {
        let home = tempfile::tempdir().unwrap();
        let kind = |text: &str| {
            fs::write(home.path().join("release"), text).unwrap();
            let finding = Jvm { home: Some(home.path().to_owned()), options: Vec::new() }.kind();
            (finding.severity, finding.sentence)
        };
        assert_eq!(kind("JAVA_VERSION=\"17.0.15\"\n"), (Severity::Ok, "JDK 17.0.15 gives Java stacks".to_owned()));
        assert_eq!(kind("JAVA_VERSION=\"17.0.9\"\nJVM_VARIANT=\"Openj9\"\n").0, Severity::Warn);
        assert!(kind("JAVA_VERSION=\"1.8.0_402\"\n").1.ends_with("only if it names its threads"));
        assert!(kind("JAVA_VERSION=\"1.7.0_80\"\n").1.ends_with("native frames only"));
        fs::create_dir_all(home.path().join("bin")).unwrap();
        fs::write(home.path().join("bin/java"), "").unwrap();
        let found = Jvm::home_of(&home.path().join("bin/java"));
        assert_eq!(found, Some(home.path().canonicalize().unwrap()));
    }
}
