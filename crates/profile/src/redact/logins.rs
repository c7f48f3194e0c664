//! Secrets that no name announces: `-u user:password`, and the short options of some programs.

use super::HIDDEN;

/// Options whose value is `user:password`.
const LOGINS: [&str; 7] = ["-u", "-U", "--user", "--username", "--proxy-user", "--login", "--userpwd"];

/// Programs (by the beginning of their name) with a short option for a secret, and whether the secret may be the next
/// argument: `mysql -p x` asks for a password and opens the database `x`.
const PROGRAMS: [(&str, &str, bool); 5] = [
    ("mysql", "-p", false),
    ("mariadb", "-p", false),
    ("sshpass", "-p", true),
    ("redis-cli", "-a", true),
    ("ldap", "-w", true),
];

/// Whether an option's value is `user:password`.
pub(super) fn is_login_option(option: &str) -> bool {
    LOGINS.contains(&option)
}

/// The short option for a secret of the program of this name or path.
pub(super) fn option_of(program: &str) -> Option<(&'static str, bool)> {
    let name = program.rsplit(['/', '(']).next()?.trim_start_matches(['"', '\'', '`']);
    PROGRAMS.iter().find(|(start, ..)| name.starts_with(start)).map(|(_, option, may_follow)| (*option, *may_follow))
}

/// `user:password` without the password; `None` for `1000:1000`, which are numbers of a user and a group, and for URLs.
pub(super) fn login(text: &str) -> Option<String> {
    let (user, password) = text.split_once(':')?;
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let is_other = password.is_empty() || password.starts_with("//") || is_number(user) && is_number(password);
    (!is_other).then(|| format!("{user}:{HIDDEN}"))
}

#[cfg(test)]
mod tests {
    use crate::redact;

    fn line(command: &[&str]) -> Vec<String> {
        redact(&command.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>())
    }

    #[track_caller]
    fn becomes(arg: &str, expected: &str) {
        assert_eq!(line(&[arg]), [expected]);
    }

    #[test]
    fn logins_are_hidden_behind_the_user() {
        assert_eq!(line(&["curl", "-u", "me:hunter2", "x:y"]), ["curl", "-u", "me:***", "x:y"]);
        assert_eq!(line(&["curl", "-u", "me:12345"]), ["curl", "-u", "me:***"]);
        assert_eq!(line(&["--user", "me:"]), ["--user", "me:"]);
        becomes("--proxy-user=me:hunter2", "--proxy-user=me:***");
        becomes("sh -c curl -u me:hunter2 http://h/", "sh -c curl -u me:*** http://h/");
        assert_eq!(line(&["docker", "-u", "1000:1000"]), ["docker", "-u", "1000:1000"]);
        assert_eq!(line(&["-u", "http://h/", "-u", "me"]), ["-u", "http://h/", "-u", "me"]);
    }

    #[test]
    fn short_options_are_known_by_the_program() {
        let arguments = ["/usr/bin/mysqldump", "-phunter2", "-u", "root", "-P", "3306"];
        assert_eq!(line(&arguments), ["/usr/bin/mysqldump", "-p***", "-u", "root", "-P", "3306"]);
        assert_eq!(line(&["mysql", "-p", "database"]), ["mysql", "-p", "database"]);
        assert_eq!(line(&["sshpass", "-p", "hunter2", "ssh"]), ["sshpass", "-p", "***", "ssh"]);
        assert_eq!(line(&["redis-cli", "-a", "hunter2", "-p", "6379"]), ["redis-cli", "-a", "***", "-p", "6379"]);

        becomes("x=$(mysql -phunter2 -e 1)", "x=$(mysql -p*** -e 1)");
        becomes("cd / && 'mysql' -phunter2", "cd / && 'mysql' -p***");
        assert_eq!(line(&["tar", "-pxf", "a.tar"]), ["tar", "-pxf", "a.tar"]);
    }
}
