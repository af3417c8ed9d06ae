//! Tells uv about the package index that pip uses on this machine.
//!
//! uv does not read pip's configuration; on a machine whose administrator has set a mirror or a
//! certificate for pip, an installer that ignores it cannot work. Variables for uv itself win.
//! Names on the right: uv's reference, "Environment variables".

use super::child::{Environ, run};
use std::path::Path;

/// What `pip config list` knows, and the variable that tells uv the same.
const OPTIONS: [(&str, &str); 5] = [
    ("index-url", "UV_DEFAULT_INDEX"),
    ("extra-index-url", "UV_INDEX"),
    ("find-links", "UV_FIND_LINKS"),
    ("trusted-host", "UV_INSECURE_HOST"),
    ("cert", "SSL_CERT_FILE"),
];

/// For which uv has an option and no variable.
const NO_INDEX: &str = "no-index";

/// Where systems keep the certificates their administrator trusts: Debian, Red Hat, Alpine. pip
/// uses them; uv, left alone, those it was built with.
const CERTIFICATES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// How to tell uv where packages are.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    pub(super) variables: Vec<(&'static str, String)>,
    pub(super) options: Vec<&'static str>,
}

/// The index of this machine, from pip's configuration as `python` sees it.
pub(super) async fn of_this_machine(python: &Path, environ: &Environ) -> Index {
    let mut config = String::new();
    let mut command = environ.command(python);
    command.args(["-m", "pip", "--disable-pip-version-check", "config", "list"]);
    let answer = run(command, |line| config.extend([line, "\n"])).await;
    if !answer.is_ok_and(|answer| answer.ok) {
        // No pip: its variables are all there is of its configuration.
        config = pip_variables(environ);
    }
    let mut index = translate(&config, environ);
    let set = environ.get("SSL_CERT_FILE").is_some() || environ.get("SSL_CERT_DIR").is_some();
    if !set && !index.variables.iter().any(|(name, _)| *name == "SSL_CERT_FILE") {
        let system = CERTIFICATES.iter().find(|path| Path::new(path).exists());
        index.variables.extend(system.map(|path| ("SSL_CERT_FILE", (*path).to_owned())));
    }
    index
}

fn pip_variables(environ: &Environ) -> String {
    let line = |option: &str| {
        let name = format!("PIP_{}", option.to_uppercase().replace('-', "_"));
        let value = environ.get(&name)?.to_str()?;
        Some(format!(":env:.{option}='{value}'\n"))
    };
    OPTIONS.iter().map(|(option, _)| *option).chain([NO_INDEX]).filter_map(line).collect()
}

fn translate(config: &str, environ: &Environ) -> Index {
    let mut variables = Vec::new();
    for (option, variable) in OPTIONS {
        let legacy = match variable {
            "UV_DEFAULT_INDEX" => "UV_INDEX_URL",
            "UV_INDEX" => "UV_EXTRA_INDEX_URL",
            other => other,
        };
        if environ.get(variable).or(environ.get(legacy)).is_some() {
            continue;
        }
        let Some(value) = value_of(config, option) else { continue };
        let mut words: Vec<&str> = value.split_whitespace().collect();
        if variable == "UV_FIND_LINKS" {
            // A folder that is absent is a warning for pip and an error for uv.
            words.retain(|word| word.contains("://") || Path::new(word).exists());
        }
        let separator = if variable == "UV_FIND_LINKS" { "," } else { " " };
        if !words.is_empty() {
            variables.push((variable, words.join(separator)));
        }
    }
    if variables.iter().any(|(name, _)| *name == "UV_INDEX") {
        // As pip does: the version asked for, from whichever index has it; hashes decide.
        variables.push(("UV_INDEX_STRATEGY", "unsafe-best-match".to_owned()));
    }
    let no_index = value_of(config, NO_INDEX).is_some_and(|v| v != "0" && v != "false");
    Index { variables, options: if no_index { vec!["--no-index"] } else { Vec::new() } }
}

/// An option's value: pip lets variables win over its `install` section, and that over `global`.
fn value_of(config: &str, option: &str) -> Option<String> {
    [":env:", "install", "global"].iter().find_map(|section| {
        let key = format!("{section}.{option}=");
        let quoted = config.lines().find_map(|line| line.strip_prefix(&key))?.trim();
        let value = quoted.trim_matches(['\'', '"']).replace("\\n", "\n");
        (!value.is_empty()).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environ(pairs: &[(&str, &str)]) -> Environ {
        Environ::new(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    const CONFIG: &str = "\
:env:.cert='/certs/env.pem'
global.cert='/certs/global.pem'
global.extra-index-url='https://one.invalid/simple\\nhttps://two.invalid/simple'
global.find-links='/nonexistent/wheels /usr'
install.index-url='https://install.invalid/simple'
global.index-url='https://global.invalid/simple'
global.no-index='1'
";

    #[test]
    fn pips_configuration_for_uv() {
        let expected = [
            ("UV_DEFAULT_INDEX", "https://install.invalid/simple"),
            ("UV_INDEX", "https://one.invalid/simple https://two.invalid/simple"),
            ("UV_FIND_LINKS", "/usr"),
            ("SSL_CERT_FILE", "/certs/env.pem"),
            ("UV_INDEX_STRATEGY", "unsafe-best-match"),
        ];
        let got = translate(CONFIG, &environ(&[]));
        assert_eq!(got.options, ["--no-index"]);
        assert_eq!(got.variables, expected.map(|(name, value)| (name, value.to_owned())));
    }

    #[test]
    fn what_is_said_to_uv_itself_wins() {
        let set = [("UV_INDEX_URL", "x"), ("UV_EXTRA_INDEX_URL", "x"), ("SSL_CERT_FILE", "x")];
        let got = translate(CONFIG, &environ(&set));
        assert_eq!(got.variables, [("UV_FIND_LINKS", "/usr".to_owned())]);
    }

    #[test]
    fn without_pip_its_variables_count() {
        let environ = environ(&[("PIP_INDEX_URL", "https://env.invalid/simple")]);
        let got = translate(&pip_variables(&environ), &environ);
        let expected = ("UV_DEFAULT_INDEX", "https://env.invalid/simple".to_owned());
        assert_eq!((got.variables, got.options), (vec![expected], vec![]));
    }
}
