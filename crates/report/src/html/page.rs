//! The file: the template of assets/page.html with style, scripts and data in it.
//!
//! Names come from the program and may hold anything. They are data in a JSON block, in which every `<`, `>` and `&` is
//! written as an escape, so no name can end the block; the script puts them into the page as text, never as markup. And
//! should either fail: the policy at the top of the page lets only our own script and style run, by their hashes, and
//! forbids every request.

use base64::Engine;
use sha2::{Digest, Sha256};

use super::view::View;

const TEMPLATE: &str = include_str!("../../assets/page.html");

const STYLE: &str =
    concat!(include_str!("../../assets/vendor/uplot/uPlot.min.css"), "\n", include_str!("../../assets/page.css"));

/// One scope, so that the files share their functions and leave nothing behind but uPlot.
const SCRIPT: &str = concat!(
    include_str!("../../assets/vendor/uplot/uPlot.iife.min.js"),
    "\n(function () {\n\"use strict\";\n",
    include_str!("../../assets/script/units.js"),
    include_str!("../../assets/script/statistics.js"),
    include_str!("../../assets/script/data.js"),
    include_str!("../../assets/script/elements.js"),
    include_str!("../../assets/script/chart.js"),
    include_str!("../../assets/script/colours.js"),
    include_str!("../../assets/script/tree.js"),
    include_str!("../../assets/script/flame.js"),
    include_str!("../../assets/script/stack.js"),
    include_str!("../../assets/script/tables.js"),
    include_str!("../../assets/script/download.js"),
    include_str!("../../assets/script/main.js"),
    "})();\n",
);

/// The file's text.
pub(crate) fn page(view: &View) -> String {
    let data = serde_json::to_string(view).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(SCRIPT),
        hash(STYLE)
    );
    let headline = view.verdicts.first().map(|v| format!("{} {}", v.word, v.sentence)).unwrap_or_default();
    let parts = [
        ("policy", policy),
        ("title", escaped(&view.title)),
        ("headline", escaped(headline.trim())),
        ("style", STYLE.to_owned()),
        ("script", SCRIPT.to_owned()),
        ("data", inert(&data)),
    ];
    filled(TEMPLATE, &parts)
}

/// The template with each `{{name}}` replaced, in one pass: what is put in is not looked at again.
fn filled(template: &str, parts: &[(&str, String)]) -> String {
    let mut text = String::with_capacity(parts.iter().map(|(_, part)| part.len()).sum::<usize>() + template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        text.push_str(before);
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        text.extend(parts.iter().find(|(known, _)| *known == name).map(|(_, part)| part.as_str()));
        rest = after;
    }
    text.push_str(rest);
    text
}

/// JSON that no reader of HTML can take for markup.
fn inert(json: &str) -> String {
    json.replace('&', "\\u0026").replace('<', "\\u003c").replace('>', "\\u003e")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_is_not_looked_at_again() {
        let parts = [("a", "{{b}}".to_owned()), ("b", "2".to_owned())];
        assert_eq!(filled("<{{a}}|{{b}}|{{c}}>{{", &parts), "<{{b}}|2|>");
    }

    #[test]
    fn json_becomes_inert_and_stays_the_same_value() {
        let hostile = "</script><script>alert(1)</script><!-- &lt; -->";
        let text = inert(&serde_json::to_string(hostile).expect("JSON"));
        assert!(!text.contains(['<', '>', '&']), "{text}");
        assert_eq!(serde_json::from_str::<String>(&text).expect("JSON"), hostile);
        assert_eq!(escaped("<a b=\"c\" d='e'>&"), "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;");
    }

    #[test]
    fn assets_cannot_end_their_own_elements_and_the_template_takes_every_part() {
        assert!(!SCRIPT.to_lowercase().contains("</script") && !SCRIPT.contains("<!--"));
        assert!(!STYLE.to_lowercase().contains("</style"));
        for part in ["policy", "title", "headline", "style", "script", "data"] {
            assert_eq!(
                TEMPLATE.matches(&format!("{{{{{part}}}}}")).count(),
                1 + usize::from(part == "title"),
                "{part}"
            );
        }
        for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"] {
            assert!(!SCRIPT.contains(forbidden), "{forbidden}");
        }
    }
}
