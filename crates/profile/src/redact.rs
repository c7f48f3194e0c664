//! Hides what looks like a secret in a command line before anything is stored.
//!
//! A profile is mailed around; a command line holds passwords. Names stay visible, values become `***`. In doubt a
//! value is hidden: nobody misses it. Kept are values whose name says that they tell where or what kind a key is, not
//! the key (`-Djavax.net.ssl.keyStore=/etc/store.jks`).
//!
//! Forms: `--password=x`, `--password x`, `-Ddb.password=x`, `PASSWORD=x`, `password: x`, the same inside a longer
//! argument (`-javaagent:a.jar=token=x,port=1`, `jdbc:...?user=u&password=x`, `sh -c "app --token x"`), URLs with
//! `user:password@`, `-u user:password`, and well-known forms of tokens anywhere. `-p x` is a port as often as a
//! password, so such short options are known by the program (`logins.rs`).

mod logins;

use logins::{is_login_option, login, option_of};

/// Takes the place of a secret.
const HIDDEN: &str = "***";

/// Words that make a name secret wherever they stand in it.
const SECRET: [&str; 17] = [
    "passw",
    "pass",
    "pwd",
    "passphrase",
    "secret",
    "token",
    "cred",
    "apikey",
    "accesskey",
    "privatekey",
    "auth",
    "bearer",
    "cookie",
    "signature",
    "jwt",
    "saslconfig",
    "jaasconfig",
];

/// Ends of names that tell about a key without giving it.
const ABOUT_KEYS: [&str; 15] = [
    "store",
    "path",
    "file",
    "type",
    "dir",
    "provider",
    "location",
    "algorithm",
    "alias",
    "alg",
    "size",
    "length",
    "name",
    "format",
    "serializer",
];

/// Beginnings of well-known tokens: GitHub, GitLab, Slack, AWS, JSON web tokens, several API vendors.
const TOKENS: [&str; 13] = [
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "ASIA",
    "eyJ",
    "sk-",
    "sk_live",
];

/// A command line with the values that look like secrets replaced by `***`; as many arguments as before.
pub fn redact(args: &[String]) -> Vec<String> {
    let mut reader = Reader::default();
    args.iter().map(|arg| reader.argument(arg)).collect()
}

/// Reads the arguments of one command in order: what one means can depend on those before it.
#[derive(Default)]
struct Reader {
    next: Next,
    /// The program's option for a secret, and whether the secret may be the next argument.
    option: Option<(&'static str, bool)>,
}

/// What the argument before this one demands.
#[derive(Default)]
enum Next {
    #[default]
    Anything,
    Secret,
    Login,
}

impl Reader {
    /// One argument without its secret.
    fn argument(&mut self, arg: &str) -> String {
        match std::mem::take(&mut self.next) {
            Next::Secret if !is_long_option(arg) => return HIDDEN.to_owned(),
            Next::Login => {
                if let Some(shown) = login(arg) {
                    return shown;
                }
            }
            _ => {}
        }
        if arg.contains(char::is_whitespace) {
            return words(arg);
        }
        if let Some(option) = option_of(arg) {
            self.option = Some(option);
        }
        if let Some((option, may_follow)) = self.option
            && let Some(value) = arg.strip_prefix(option)
        {
            if !value.is_empty() {
                return format!("{option}{HIDDEN}");
            }
            self.next = if may_follow { Next::Secret } else { Next::Anything };
            return arg.to_owned();
        }
        if let Some((name, value)) = arg.split_once('=')
            && is_login_option(name)
            && let Some(shown) = login(value)
        {
            return format!("{name}={shown}");
        }
        self.next = match arg {
            _ if wants_secret(arg) => Next::Secret,
            _ if is_login_option(arg) => Next::Login,
            _ => Next::Anything,
        };
        pairs(&urls(arg))
    }
}

/// A whole command or text in one argument: the same rules, word by word.
fn words(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    let mut reader = Reader::default();
    let mut hide = Hide::Nothing;
    let mut before = "";
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end_matches(char::is_whitespace);
        match hide {
            _ if word.is_empty() => {}
            Hide::Nothing => {
                let shown = reader.argument(word);
                hide = Hide::after(before, word, &shown);
                result += &shown;
                before = word;
            }
            Hide::Rest => result += HIDDEN,
            Hide::Until(quote) => {
                result += HIDDEN;
                if word.contains(quote) {
                    hide = Hide::Nothing;
                }
            }
        }
        result += &piece[word.len()..];
    }
    result
}

/// What of the following words belongs to the secret of the last one.
enum Hide {
    Nothing,
    Rest,
    Until(char),
}

impl Hide {
    fn after(before: &str, word: &str, shown: &str) -> Self {
        // `Authorization: Bearer x` and `password = x`: nothing tells where the value ends.
        let name = word.trim_end_matches([':', '=']);
        if name.len() < word.len() && is_secret(if name.is_empty() { before } else { name }) {
            return Hide::Rest;
        }
        // `--password='two words'`: up to the closing quote.
        let open = |quote: &char| word.matches(*quote).count() % 2 == 1;
        match ['\'', '"'].into_iter().find(open) {
            Some(quote) if shown.ends_with(HIDDEN) => Hide::Until(quote),
            _ => Hide::Nothing,
        }
    }
}

/// Whether an argument is an option whose value, a secret, is the next argument.
fn wants_secret(arg: &str) -> bool {
    // Options of the JVM carry their values with them.
    let jvm = ["-D", "-X"].iter().any(|prefix| arg.starts_with(prefix));
    arg.starts_with('-') && !jvm && !arg.contains(['=', ':']) && is_secret(arg)
}

/// `--verbose` or `--log-level=3` after `--password-stdin` is an option of its own and no password.
fn is_long_option(arg: &str) -> bool {
    let name = arg.split('=').next().unwrap_or_default();
    name.strip_prefix("--").is_some_and(|name| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !name.starts_with('-')
    })
}

/// Hides the values of `name=value` and `name:value` pairs, of which an argument may hold several.
fn pairs(arg: &str) -> String {
    let mut result = String::with_capacity(arg.len());
    let mut rest = arg;
    let mut hiding = false;
    while !rest.is_empty() {
        let end = rest.find(['&', ';', ',', '?', '|']).map_or(rest.len(), |at| at + 1);
        let (piece, after) = rest.split_at(end);
        rest = after;
        // A secret may hold a comma itself: it goes on until a piece that is a pair of its own.
        if hiding && !piece.contains('=') {
            result.pop();
            result += if after.is_empty() { "" } else { &piece[piece.len() - 1..] };
            continue;
        }
        let (text, separator) = match after {
            "" => (piece, ""),
            _ => piece.split_at(piece.len() - 1),
        };
        hiding = pair(text, &mut result);
        result += separator;
    }
    result
}

/// Appends one piece without its secret; tells whether there was one.
fn pair(text: &str, result: &mut String) -> bool {
    let mut from = 0;
    while let Some(at) = text[from..].find(['=', ':']) {
        let (name, value) = (&text[from..from + at], &text[from + at + 1..]);
        if is_secret(name) && !value.is_empty() && !value.starts_with("//") {
            *result += &text[..from + at + 1];
            *result += HIDDEN;
            return true;
        }
        from += at + 1;
    }
    let start = text.len() - text[from..].len();
    let value = &text[start..];
    let bare = value.trim_start_matches(['"', '\'', '/', '(', '[', '{', '@']);
    if TOKENS.iter().any(|token| bare.starts_with(token)) && bare.len() >= 16 {
        *result += &text[..text.len() - bare.len()];
        *result += HIDDEN;
        return true;
    }
    *result += text;
    false
}

/// Whether a name announces a secret.
fn is_secret(name: &str) -> bool {
    let letters = |c: &char| c.is_ascii_alphanumeric();
    let name: String = name.chars().filter(letters).map(|c| c.to_ascii_lowercase()).collect();
    if SECRET.iter().any(|word| name.contains(word)) {
        return true;
    }
    name.contains("key") && !ABOUT_KEYS.iter().any(|end| name.ends_with(end))
}

/// Hides the password in each `scheme://user:password@host`, and a user that stands alone, which is a token.
fn urls(arg: &str) -> String {
    let arg = &oracle(arg);
    let mut result = String::with_capacity(arg.len());
    let mut rest = arg.as_str();
    while let Some(at) = rest.find("://") {
        let (scheme, after) = rest.split_at(at + 3);
        result += scheme;
        let login = &after[..login_len(after)];
        match login.split_once(':') {
            Some((user, _)) => {
                result += user;
                result += ":";
                result += HIDDEN;
            }
            None if !login.is_empty() => result += HIDDEN,
            None => {}
        }
        rest = &after[login.len()..];
    }
    result + rest
}

/// Length of what stands before the `@` of an authority; 0 if there is none.
fn login_len(after: &str) -> usize {
    let authority = &after[..after.find(['/', '?', '#']).unwrap_or(after.len())];
    if let Some(at) = authority.rfind('@') {
        return at;
    }
    // An unescaped slash or question mark in the password cuts the authority short: what follows the colon is then
    // no port.
    let port = authority.split_once(':').map_or("", |(_, port)| port);
    let is_port = port.split(',').next().is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    if is_port { 0 } else { after.rfind('@').unwrap_or(0) }
}

/// Oracle's own form: `jdbc:oracle:thin:scott/tiger@host`.
fn oracle(arg: &str) -> String {
    let Some(start) = arg.find("jdbc:oracle:").map(|at| at + "jdbc:oracle:".len()) else {
        return arg.to_owned();
    };
    let user = arg[start..].find(':').map_or(start, |at| start + at + 1);
    match (arg[user..].find('/'), arg[user..].rfind('@')) {
        (Some(slash), Some(at)) if slash < at => {
            format!("{}{HIDDEN}{}", &arg[..user + slash + 1], &arg[user + at..])
        }
        _ => arg.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(command: &[&str]) -> Vec<String> {
        redact(&command.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>())
    }

    #[track_caller]
    fn becomes(arg: &str, expected: &str) {
        assert_eq!(line(&[arg]), [expected]);
    }

    #[test]
    fn named_values_are_hidden_and_names_stay() {
        becomes("--password=hunter2", "--password=***");
        becomes("-Ddb.password=hunter2", "-Ddb.password=***");
        becomes("-Djavax.net.ssl.keyStorePassword=hunter2", "-Djavax.net.ssl.keyStorePassword=***");
        becomes("-Dspring.datasource.hikari.pwd=a=b", "-Dspring.datasource.hikari.pwd=***");
        becomes("AWS_SECRET_ACCESS_KEY=abc/def", "AWS_SECRET_ACCESS_KEY=***");
        becomes("--api-key=abc", "--api-key=***");
        becomes("X-Api-Key:abc", "X-Api-Key:***");
        becomes("--apiKey=abc", "--apiKey=***");
        becomes("--db-creds=abc", "--db-creds=***");
        becomes("-Dlicense.key=abc", "-Dlicense.key=***");
        becomes("--spring.cloud.config.token=abc", "--spring.cloud.config.token=***");
    }

    #[test]
    fn the_next_argument_can_be_the_secret() {
        assert_eq!(line(&["--token", "x", "y"]), ["--token", "***", "y"]);
        assert_eq!(line(&["-storepass", "changeit"]), ["-storepass", "***"]);
        assert_eq!(line(&["--token", "-x"]), ["--token", "***"]);
        assert_eq!(line(&["--token", "--password=x"]), ["--token", "--password=***"]);
        assert_eq!(line(&["--password-stdin", "--verbose", "x"]), ["--password-stdin", "--verbose", "x"]);
        assert_eq!(line(&["-p", "8080"]), ["-p", "8080"]);
        assert_eq!(line(&["-Dtoken", "Main"]), ["-Dtoken", "Main"]);
        assert_eq!(line(&["--token"]), ["--token"]);
    }

    #[test]
    fn values_inside_values_are_hidden() {
        becomes("-javaagent:a.jar=port=1,token=x,host=h", "-javaagent:a.jar=port=1,token=***,host=h");
        becomes("--url=jdbc:mysql://h/d?user=u&password=a,b&x=1", "--url=jdbc:mysql://h/d?user=u&password=***&x=1");
        becomes("password=a,b,c", "password=***");
        becomes("jdbc:sqlserver://h:1433;user=u;password=x;", "jdbc:sqlserver://h:1433;user=u;password=***");
        becomes("-XX:OnError=kill --password=x", "-XX:OnError=kill --password=***");
    }

    #[test]
    fn commands_inside_an_argument_are_read_word_by_word() {
        becomes("java -jar a.jar --password hunter2 --port 1", "java -jar a.jar --password *** --port 1");
        becomes("Authorization: Bearer abc def", "Authorization: *** *** ***");
        becomes("password = x  y", "password = ***  ***");
        becomes("app --password='two words' -v", "app --password=*** *** -v");
        becomes("app --password \"two words\" -v", "app --password *** *** -v");
    }

    #[test]
    fn logins_in_urls_are_hidden() {
        becomes("https://user:pw@host/path", "https://user:***@host/path");
        becomes("redis://:pw@host", "redis://:***@host");
        becomes("https://ghp_abc@host/a", "https://***@host/a");
        becomes("amqp://u:p/w?d@host:5672", "amqp://u:***@host:5672");
        becomes("amqp://u:p@w@host:5672", "amqp://u:***@host:5672");
        becomes("http://host:80/a?mail=a@b.c", "http://host:80/a?mail=a@b.c");
        becomes("jdbc:oracle:thin:scott/tiger@//h:1521/x", "jdbc:oracle:thin:scott/***@//h:1521/x");
        becomes("--db=postgres://a:b@h/x,postgres://c:d@h/y", "--db=postgres://a:***@h/x,postgres://c:***@h/y");
    }

    #[test]
    fn tokens_are_known_by_their_form() {
        becomes("eyJhbGciOiJIUzI1NiJ9.e30.abc", "***");
        becomes("--header=ghp_0123456789abcdef", "--header=***");
    }

    #[test]
    fn harmless_arguments_stay() {
        for arg in [
            "java",
            "-Xmx4g",
            "-XX:MaxRAMPercentage=75.0",
            "-jar",
            "/srv/app-1.2.3.jar",
            "-Djavax.net.ssl.keyStore=/etc/store.jks",
            "-Djavax.net.ssl.keyStoreType=PKCS12",
            "-Dkeystore.path=/etc/store.jks",
            "--ssh-key-file=/root/.ssh/id",
            "-Xlog:gc*:file=/var/log/gc.log:time,uptime",
            "com.acme.TokenService",
            "--server.port=8080",
            "http://localhost:8080/health",
            "kafka://a:9092,b:9092/topic",
            "",
            "=",
            "--",
            "://",
            "@",
        ] {
            becomes(arg, arg);
        }
    }

    #[test]
    fn any_text_is_survived() {
        let parts = ["://", "@", ":", "=", "password", "é", " ", "&", "-", "jdbc:oracle:", "/", "--token", "eyJ"];
        let mut state = 1u64;
        for _ in 0..20_000 {
            let mut arg = String::new();
            for _ in 0..8 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                arg += parts[(state >> 33) as usize % parts.len()];
            }
            assert_eq!(line(&[&arg, "x"]).len(), 2);
        }
    }
}
