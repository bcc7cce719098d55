//! What `diff` and `why` tell of it, and in which colours.

use std::fs;

use cargo_brig::exit;
use serde_json::Value;

use super::audited::{CONFIG, World, assert_says};
use super::support::{clean_command, stdout, succeed};

/// The README names every key of these.
fn assert_told(objects: &[&Value]) {
    let readme = include_str!("../../README.md");
    let (_, text) = readme.split_once("`--format json` of `why` gives").unwrap();
    let (text, _) = text.split_once("\n\n").unwrap();
    for key in objects.iter().flat_map(|object| object.as_object().unwrap().keys()) {
        assert!(text.contains(&format!("`{key}`")), "{key}");
    }
}

#[test]
fn states_of_the_baseline_are_compared() {
    let world = World::approved();
    let git = |arguments: &[&str]| {
        let mut command = clean_command("git");
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
        command.args(identity).args(arguments).current_dir(&world.project.root);
        succeed(&mut command);
    };
    git(&["init", "-q"]);
    git(&["add", "brig.lock"]);
    git(&["commit", "-qm", "first"]);
    fs::copy(world.project.root.join("brig.lock"), world.project.root.join("a b.lock")).unwrap();
    assert_says(&world.ends(0, &["diff", "HEAD.."]), "No difference");
    world.vendor("1.1.0", &world.reads_a_key());
    world.lock("1.1.0");
    world.audit(exit::UNAPPROVED);
    world.ends(0, &["approve", "--all", "--yes"]);
    for range in ["HEAD..", "a b.lock..brig.lock", "./a b.lock..", "../ship/a b.lock.."] {
        let output = world.ends(0, &["diff", range]);
        assert_says(&output, "hull v1.0.0 → v1.1.0");
        assert_says(&output, "  + tries, and must not: read {home}/.ssh/id_rsa");
    }
    let both = world.baseline() + "\n[[package]]\nname = \"hull\"\nversion = \"1.0.0\"\n";
    world.project.write("brig.lock", &both);
    assert_says(&world.ends(0, &["diff", "hull", "1.0.0..1.1.0"]), "  + runs: uname");
    for wrong in [
        &["diff", "none..HEAD"][..],
        &["diff", "hull", "0.9.0..1.1.0"],
        &["diff", "--", "-x..HEAD"],
    ] {
        assert_says(&world.ends(exit::FAILED, wrong), "is no ");
    }
    assert_says(&world.ends(exit::FAILED, &["diff", "nope", "HEAD.."]), "is in neither of the two");
    world.ends(exit::USAGE, &["diff", "HEAD"]);
    let output = world.ends(0, &["diff", "--format", "json", "HEAD.."]);
    let compared: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(compared["schema"], 1);
    let added = &compared["differences"][1];
    assert_told(&[&compared, added]);
    assert_eq!((&added["package"], &added["new"]), (&"hull v1.1.0".into(), &"1.1.0".into()));
    assert_eq!(
        added["added"][0],
        serde_json::json!({"aspect": "denied", "value": "read {home}/.ssh/id_rsa"})
    );
}

#[test]
fn every_own_verb_has_colours_as_cargo_is_told() {
    let world = World::new();
    world.ends(exit::UNAPPROVED, &["audit"]);
    for arguments in [
        &["audit"][..],
        &["why", "hull"],
        &["show"],
        &["policy", "show"],
        &["--help"],
        &["why", "--help"],
    ] {
        let colored = |config: &str, variable: Option<&str>| {
            world.project.write(".cargo/config.toml", &format!("{CONFIG}{config}"));
            let mut command = world.command(arguments);
            command.envs(variable.map(|value| ("CARGO_TERM_COLOR", value)));
            stdout(&command.output().unwrap()).contains("\x1b[")
        };
        let always = "[term]\ncolor = \"always\"\n";
        assert!(!colored("", None) && !colored(always, Some("never")), "{arguments:?}");
        assert!(colored("", Some("always")) && colored(always, None), "{arguments:?}");
    }
}

#[test]
fn a_package_is_explained_under_the_policy_of_its_run() {
    let world = World::new();
    world.ends(exit::UNAPPROVED, &["audit", "--policy", "strict"]);
    let output = world.ends(exit::FAILED, &["why", "hull"]);
    assert_says(&output, "name the policy that it was made under with `--policy`");
    let text = stdout(&world.ends(0, &["why", "hull", "--policy", "strict"]));
    assert!(text.contains("What allowed it\n"), "{text}");
    let arguments = ["why", "hull", "--policy", "strict", "--format", "json"];
    let why: Value = serde_json::from_slice(&world.ends(0, &arguments).stdout).unwrap();
    assert_eq!((&why["schema"], why["runs"].as_array().unwrap().len()), (&Value::from(1), 1));
    let run = &why["runs"][0];
    assert_eq!(run["package"]["name"], "hull");
    // It is the same in both.
    for of in ["paths", "variables"] {
        for rule in run[of].as_array().unwrap() {
            let (name, count) =
                (rule["rule"].as_str().unwrap(), rule["values"].as_array().unwrap());
            assert!(text.contains(name) && !count.is_empty(), "{name}: {text}");
        }
    }
    let digest = run["package"]["runs"][0]["record_sha256"].as_str().unwrap();
    assert_eq!(digest.len(), 64);
    assert_told(&[&why, run, &run["paths"][0]]);
    world.ends(exit::USAGE, &["why"]);
}
