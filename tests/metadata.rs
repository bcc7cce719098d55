//! Changes of mode, owner, times and extended attributes: in `OUT_DIR` and the private temporary
//! directory they work as without the jail, elsewhere they do nothing.
//!
//! One program makes every such call there is. It runs with and without the jail on files in
//! `OUT_DIR`, where it must see the same, and on files outside, which only change without the jail.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Project, shown, stderr, succeed};

/// Makes each call on a file below the directory `T_WHERE`, and writes into `OUT_DIR/results` what it
/// returned and how the file is afterwards.
const SCRIPT: &str = r#"
use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, IntoRawFd};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

unsafe extern "C" {
    fn syscall(number: i64, ...) -> i64;
    fn getuid() -> u32;
}

fn call(number: i64, a: [i64; 6]) -> i64 {
    let result = unsafe { syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]) };
    let errno = std::io::Error::last_os_error().raw_os_error().unwrap();
    if result < 0 { -i64::from(errno) } else { result }
}

const HERE: i64 = -100;
const KEEP_LINK: i64 = 0x100;
const EMPTY: i64 = 0x1000;
const CREATE: i64 = 1;

#[cfg(target_arch = "x86_64")]
mod number {
    pub const FCHMOD: i64 = 91;
    pub const FCHMODAT: i64 = 268;
    pub const FCHOWN: i64 = 93;
    pub const FCHOWNAT: i64 = 260;
    pub const UTIMENSAT: i64 = 280;
    pub const SETXATTR: i64 = 188;
    pub const REMOVEXATTR: i64 = 197;
}
#[cfg(target_arch = "aarch64")]
mod number {
    pub const FCHMOD: i64 = 52;
    pub const FCHMODAT: i64 = 53;
    pub const FCHOWN: i64 = 55;
    pub const FCHOWNAT: i64 = 54;
    pub const UTIMENSAT: i64 = 88;
    pub const SETXATTR: i64 = 5;
    pub const REMOVEXATTR: i64 = 14;
}
const FCHMODAT2: i64 = 452;

fn main() {
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
    let base = std::env::var_os("T_WHERE").map_or_else(|| out.join("here"), PathBuf::from);
    fs::create_dir_all(&base).ok();
    std::env::set_current_dir(&base).unwrap();
    let uid = i64::from(unsafe { getuid() });
    let name = c"user.brig".as_ptr() as i64;
    let value = b"value".as_ptr() as i64;
    let times: [i64; 4] = [1000, 1, 2000, 2];
    let times = times.as_ptr() as i64;
    let empty = c"".as_ptr() as i64;
    let mut results = String::new();
    let mut attempt = |what: &str, calls: &dyn Fn(i64, i64, i64, i64) -> Vec<i64>| {
        let file = base.join(what);
        let link = base.join(format!("{what} link"));
        if std::env::var_os("T_WHERE").is_none() {
            fs::write(&file, "x").unwrap();
            symlink(&file, &link).unwrap();
        }
        // The descriptor is open for reading alone, of which Landlock takes no notice.
        let open = File::open(&file).unwrap();
        let directory = File::open(&base).unwrap();
        let (path, relative) = (c_string(&file), CString::new(what).unwrap());
        let (fd, directory) = (i64::from(open.as_raw_fd()), i64::from(directory.as_raw_fd()));
        let returned = calls(path.as_ptr() as i64, fd, relative.as_ptr() as i64, directory);
        let state = fs::metadata(&file).unwrap();
        let of_link = fs::symlink_metadata(&link).unwrap();
        let mut attribute = [0_u8; 16];
        #[cfg(target_arch = "x86_64")]
        const GETXATTR: i64 = 191;
        #[cfg(target_arch = "aarch64")]
        const GETXATTR: i64 = 8;
        let got = call(GETXATTR, [path.as_ptr() as i64, name, attribute.as_mut_ptr() as i64, 16, 0, 0]);
        results.push_str(&format!(
            "{what}\t{returned:?} mode {:o} owner {} {} times {} {} {} link {} attribute {got} {:?}\n",
            state.mode(), state.uid(), state.gid(),
            if state.atime() == 1000 { 1000 } else { 0 },
            if state.mtime() == 2000 { 2000 } else { 0 },
            state.mtime_nsec() % 2001,
            if of_link.mtime() == 2000 { 2000 } else { 0 },
            &attribute[..usize::try_from(got).unwrap_or(0)],
        ).replace(&format!("{} link", state.mtime_nsec() % 2001), if state.mtime() == 2000 { "exact link" } else { "link" }));
    };
    attempt("fchmod", &|_, fd, _, _| vec![call(number::FCHMOD, [fd, 0o751, 0, 0, 0, 0])]);
    attempt("fchmodat", &|path, _, _, _| vec![call(number::FCHMODAT, [HERE, path, 0o752, 0, 0, 0])]);
    attempt("fchmodat below", &|_, _, name, dir| {
        vec![call(number::FCHMODAT, [dir, name, 0o753, 0, 0, 0])]
    });
    attempt("fchmodat relative", &|_, _, name, _| {
        vec![call(number::FCHMODAT, [HERE, name, 0o754, 0, 0, 0])]
    });
    attempt("fchmodat2", &|path, _, _, _| vec![call(FCHMODAT2, [HERE, path, 0o755, 0, 0, 0])]);
    attempt("fchmodat2 empty", &|_, fd, _, _| {
        vec![call(FCHMODAT2, [fd, empty, 0o756, EMPTY, 0, 0]), call(FCHMODAT2, [fd, empty, 0, 0, 0, 0])]
    });
    attempt("fchown", &|_, fd, _, _| vec![call(number::FCHOWN, [fd, uid, -1, 0, 0, 0])]);
    attempt("fchownat", &|path, _, _, _| {
        vec![call(number::FCHOWNAT, [HERE, path, uid, -1, 0, 0]),
             call(number::FCHOWNAT, [HERE, path, uid, -1, KEEP_LINK, 0])]
    });
    attempt("utimensat", &|path, _, _, _| vec![call(number::UTIMENSAT, [HERE, path, times, 0, 0, 0])]);
    attempt("futimens", &|_, fd, _, _| vec![call(number::UTIMENSAT, [fd, 0, times, 0, 0, 0])]);
    attempt("utimensat now", &|path, _, _, _| vec![call(number::UTIMENSAT, [HERE, path, 0, 0, 0, 0])]);
    attempt("setxattr", &|path, _, _, _| {
        vec![call(number::SETXATTR, [path, name, value, 5, CREATE, 0])]
    });
    attempt("lsetxattr", &|path, _, _, _| vec![call(number::SETXATTR + 1, [path, name, value, 4, 0, 0])]);
    attempt("fsetxattr", &|_, fd, _, _| vec![call(number::SETXATTR + 2, [fd, name, value, 3, 0, 0])]);
    attempt("removexattr", &|path, fd, _, _| {
        vec![call(number::SETXATTR, [path, name, value, 5, 0, 0]),
             call(number::REMOVEXATTR, [path, name, 0, 0, 0, 0]),
             call(number::SETXATTR, [path, name, value, 5, 0, 0]),
             call(number::REMOVEXATTR + 1, [path, name, 0, 0, 0, 0]),
             call(number::SETXATTR, [path, name, value, 5, 0, 0]),
             call(number::REMOVEXATTR + 2, [fd, name, 0, 0, 0, 0])]
    });
    #[cfg(target_arch = "x86_64")]
    {
        attempt("chmod", &|path, _, _, _| vec![call(90, [path, 0o761, 0, 0, 0, 0])]);
        attempt("chown", &|path, _, _, _| vec![call(92, [path, uid, -1, 0, 0, 0])]);
        attempt("lchown", &|path, _, _, _| vec![call(94, [path, uid, -1, 0, 0, 0])]);
        attempt("utime", &|path, _, _, _| {
            let times = [1000_i64, 2000];
            vec![call(132, [path, times.as_ptr() as i64, 0, 0, 0, 0])]
        });
        attempt("utimes", &|path, _, _, _| {
            let wrong = [0_i64, 0, 0, 1_000_000];
            vec![call(235, [path, times, 0, 0, 0, 0]),
                 call(235, [path, wrong.as_ptr() as i64, 0, 0, 0, 0])]
        });
        attempt("futimesat", &|_, _, name, dir| vec![call(261, [dir, name, times, 0, 0, 0])]);
    }
    // What fails, fails the same way.
    let path_only = fs::File::open(&base).unwrap().into_raw_fd();
    let long = CString::new(vec![b'a'; 5000]).unwrap();
    attempt("failures", &|path, fd, _, _| vec![
        call(number::FCHMODAT, [HERE, 8, 0o777, 0, 0, 0]),
        call(number::FCHMODAT, [HERE, empty, 0o777, 0, 0, 0]),
        call(number::FCHMODAT, [HERE, c"no such file".as_ptr() as i64, 0o777, 0, 0, 0]),
        call(number::FCHMODAT, [HERE, long.as_ptr() as i64, 0o777, 0, 0, 0]),
        call(number::FCHMODAT, [999, c"x".as_ptr() as i64, 0o777, 0, 0, 0]),
        call(number::FCHMOD, [999, 0o777, 0, 0, 0, 0]),
        call(FCHMODAT2, [HERE, path, 0o777, 0x4000, 0, 0]),
        call(number::UTIMENSAT, [HERE, path, 8, 0, 0, 0]),
        call(number::SETXATTR, [path, c"brig".as_ptr() as i64, value, 5, 0, 0]),
        call(number::SETXATTR, [path, name, value, 1 << 20, 0, 0]),
        call(number::SETXATTR, [path, empty, value, 5, 0, 0]),
        call(number::REMOVEXATTR + 2, [fd, name, 0, 0, 0, 0]),
        i64::from(path_only >= 0),
    ]);
    // Of the link itself, and of the directory, which archives do.
    let link = c_string(&base.join("utimensat link"));
    let here = c_string(&base);
    results.push_str(&format!("link itself\t{:?}\n", [
        call(number::UTIMENSAT, [HERE, link.as_ptr() as i64, times, KEEP_LINK, 0, 0]),
        call(number::SETXATTR + 1, [link.as_ptr() as i64, name, value, 5, 0, 0]),
        call(FCHMODAT2, [HERE, link.as_ptr() as i64, 0o777, KEEP_LINK, 0, 0]),
    ]));
    results.push_str(&format!("link's time\t{}\n",
        fs::symlink_metadata(base.join("utimensat link")).unwrap().mtime() == 2000));
    results.push_str(&format!("directory\t{:?}\n", [
        call(number::FCHMODAT, [HERE, here.as_ptr() as i64, 0o750, 0, 0, 0]),
        call(number::FCHMODAT, [HERE, c".".as_ptr() as i64, 0o755, 0, 0, 0]),
    ]));
    results.push_str(&format!("OUT_DIR\t{:?}\n",
        call(number::UTIMENSAT, [HERE, c_string(&out).as_ptr() as i64, times, 0, 0, 0])));
    fs::write(out.join("results"), results).unwrap();
}

fn c_string(path: &Path) -> CString {
    CString::new(path.to_str().unwrap()).unwrap()
}
"#;

/// What the script saw of each call, what Cargo printed, and the denials as kind and path.
type Seen = (BTreeMap<String, String>, String, Vec<(String, String)>);

fn results(project: &Project, mut command: Command) -> Seen {
    let output = succeed(&mut command);
    let files = project.files_named("target", "results");
    assert_eq!(files.len(), 1, "{}", shown(&output));
    let text = fs::read_to_string(&files[0]).unwrap();
    let denials = project.records().into_iter().flat_map(|record| {
        let denials = record["denials"].as_array().unwrap().clone();
        let field = |denial: &Value, name: &str| denial[name].as_str().unwrap().to_owned();
        denials.into_iter().map(move |denial| (field(&denial, "kind"), field(&denial, "path")))
    });
    let denials = denials.collect();
    fs::remove_dir_all(project.root.join("target")).unwrap();
    let pair = |line: &str| line.split_once('\t').map(|(a, b)| (a.to_owned(), b.to_owned()));
    (text.lines().filter_map(pair).collect(), stderr(&output), denials)
}

#[test]
fn in_out_dir_they_work_as_without_the_jail() {
    let project = Project::with_script("changes_metadata", SCRIPT);
    let (plain, ..) = results(&project, project.cargo(&["build"]));
    let (jailed, text, denials) = results(&project, project.brig(&["build"]));
    for (what, plain) in &plain {
        assert_eq!(Some(plain), jailed.get(what), "{what}");
    }
    assert_eq!(plain.len(), jailed.len());
    assert!(plain["fchmod"].starts_with("[0] mode 100751 "), "{plain:#?}");
    assert!(plain["utimensat"].contains("times 1000 2000 exact"), "{plain:#?}");
    assert!(plain["setxattr"].ends_with("attribute 5 [118, 97, 108, 117, 101]"), "{plain:#?}");
    assert_eq!(plain["link's time"], "true");
    assert!(denials.is_empty() && text.contains("nothing denied"), "{text}");
}

/// A program that runs with its owner's rights would be one of the user's, for whoever runs it.
#[test]
fn no_program_gets_its_owners_rights() {
    let script = r#"
        use std::fs::{self, OpenOptions, Permissions};
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        fn main() {
            let out = std::env::var("OUT_DIR").unwrap();
            let [changed, made, directory] = ["changed", "made", "directory"].map(|n| format!("{out}/{n}"));
            fs::write(&changed, "").unwrap();
            fs::set_permissions(&changed, Permissions::from_mode(0o6755)).unwrap();
            OpenOptions::new().write(true).create(true).mode(0o6755).open(&made).unwrap();
            fs::create_dir(&directory).unwrap();
            fs::set_permissions(&directory, Permissions::from_mode(0o2755)).unwrap();
            for path in [changed, made, directory] {
                println!("cargo::warning={:o}", fs::metadata(path).unwrap().permissions().mode() & 0o7777);
            }
        }
    "#;
    let project = Project::with_script("sets_ids", script);
    let modes = |mut command: Command| {
        let text = stderr(&succeed(&mut command));
        drop(fs::remove_dir_all(project.root.join("target")));
        let mode =
            |line: &str| Some(line.strip_prefix("warning: ")?.split_once(": ")?.1.to_owned());
        text.lines().filter_map(mode).collect::<Vec<_>>()
    };
    assert_eq!(modes(project.cargo(&["build"])), ["6755", "6755", "2755"]);
    assert_eq!(modes(project.brig(&["build"])), ["755", "755", "2755"]);
}

/// What a file is, except for when it was read.
fn state(path: &Path) -> (u32, u32, u32, i64, i64) {
    let state = fs::symlink_metadata(path).unwrap();
    (state.mode(), state.uid(), state.gid(), state.mtime(), state.ctime_nsec())
}

#[test]
fn elsewhere_they_change_nothing_and_are_named() {
    let project = Project::with_script("changes_metadata_elsewhere", SCRIPT);
    let names: Vec<String> = {
        let (plain, ..) = results(&project, project.cargo(&["build"]));
        plain
            .into_iter()
            .filter(|(_, line)| line.contains(" mode "))
            .map(|(name, _)| name)
            .collect()
    };
    assert!(names.len() >= 16, "{names:?}");
    // In the package itself, which may be read.
    let outside = project.root.join("outside");
    let make = || {
        fs::create_dir(&outside).unwrap();
        for name in &names {
            fs::write(outside.join(name), "x").unwrap();
            fs::set_permissions(outside.join(name), fs::Permissions::from_mode(0o640)).unwrap();
            let link = outside.join(format!("{name} link"));
            std::os::unix::fs::symlink(outside.join(name), link).unwrap();
        }
    };
    let states = || -> Vec<_> {
        let entries = fs::read_dir(&outside).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> = entries.chain([outside.clone()]).collect();
        paths.sort();
        paths.into_iter().map(|path| (state(&path), path)).collect()
    };
    make();
    let before = states();
    let mut command = project.brig(&["build"]);
    command.env("T_WHERE", &outside);
    let (jailed, text, denials) = results(&project, command);
    assert_eq!(states(), before, "{jailed:#?}");
    for name in names.iter().filter(|name| *name != "failures") {
        let returned = jailed[name].split(']').next().unwrap().trim_start_matches('[');
        let refused = |one: &str| matches!(one.trim(), "-1" | "-2" | "-61" | "-22");
        assert!(returned.split(',').all(refused), "{name}: {}", jailed[name]);
    }
    for (kind, name) in [
        ("set-mode", "/fchmod"),
        ("set-owner", "/fchown"),
        ("set-times", "/futimens"),
        ("set-times", "/utimensat link"),
        ("set-attribute", "/fsetxattr"),
        ("set-attribute", "/removexattr"),
        ("set-mode", ""),
    ] {
        let denial = (kind.to_owned(), format!("{}{name}", outside.display()));
        assert!(denials.contains(&denial), "{denial:?}\nis not in\n{denials:#?}");
    }
    let sentence = format!(
        "the build script of `changes_metadata_elsewhere v1.2.3` tried to change the mode of \
         `{}/fchmod`: no `files.write` rule of the policy `default` covers it",
        outside.display()
    );
    assert!(text.contains(&sentence), "{sentence}\nis not in\n{text}");
}

/// Also where the user owns the device or namespace, as root does, and through links that lead out of
/// `OUT_DIR`.
#[test]
fn devices_and_planted_links_are_no_way_out() {
    let script = r#"
        use std::os::unix::fs::{PermissionsExt, symlink};
        fn main() {
            let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").unwrap());
            symlink(std::fs::canonicalize("build.rs").unwrap(), out.join("link")).unwrap();
            symlink(std::env::current_dir().unwrap(), out.join("directory")).unwrap();
            for path in [out.join("link"), out.join("directory/build.rs"), "/dev/null".into()] {
                let mode = std::fs::metadata(&path).unwrap().permissions().mode();
                let same = std::fs::Permissions::from_mode(mode);
                let code = std::fs::set_permissions(path, same).map_err(|e| e.raw_os_error());
                println!("cargo::warning={code:?}");
            }
            // Has no path, and belongs to every process of the system.
            let namespace = std::fs::File::open("/proc/self/ns/net").unwrap();
            let same = namespace.metadata().unwrap().permissions();
            let code = namespace.set_permissions(same).map_err(|e| e.raw_os_error());
            println!("cargo::warning={code:?}");
        }"#;
    let project = Project::with_script("plants_links", script);
    let output = succeed(&mut project.brig(&["build"]));
    let text = stderr(&output);
    assert_eq!(text.matches("Err(Some(1))").count(), 4, "{text}");
    let file = fs::canonicalize(project.root.join("build.rs")).unwrap();
    let sentence = format!("tried to change the mode of `{}` (2 times)", file.display());
    assert!(text.contains(&sentence), "{text}");
    assert!(text.contains("tried to change the mode of `/dev/null`"), "{text}");
}

/// What a user puts into an attribute is content, which Landlock does not know.
#[test]
fn attributes_are_for_those_who_may_read_the_file() {
    let script = r#"
        unsafe extern "C" {
            fn getxattr(path: *const i8, name: *const i8, value: *mut u8, size: usize) -> isize;
        }
        fn main() {
            let path = std::fs::read_to_string("attributed").unwrap();
            let path = std::ffi::CString::new(path).unwrap();
            for name in [c"user.mine", c"user.none", c"security.none"] {
                let mut value = [0; 16];
                let length = unsafe { getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr(), 16) };
                let errno = std::io::Error::last_os_error().raw_os_error();
                let value = value[..usize::try_from(length).unwrap_or(0)].to_vec();
                println!("cargo::warning={:?} {:?}", String::from_utf8(value), (length < 0).then_some(errno));
            }
        }"#;
    let project = Project::with_script("reads_attributes", script);
    let outside = project.root.with_file_name("outside");
    fs::write(&outside, "").unwrap();
    project.write("attributed", outside.to_str().unwrap());
    let mut set = Command::new("python3");
    succeed(
        set.args(["-c", "import os, sys; os.setxattr(sys.argv[1], 'user.mine', b'secret')"])
            .arg(&outside),
    );
    let said = |command: &mut Command| {
        drop(fs::remove_dir_all(project.root.join("target")));
        stderr(&succeed(command))
    };
    let (known, none) = ("Ok(\"secret\") None", "Ok(\"\") Some(Some(61))");
    let bare = said(&mut project.cargo(&["build"]));
    assert!(bare.contains(known) && bare.matches(none).count() == 2, "{bare}");

    let jailed = said(&mut project.brig(&["build"]));
    assert_eq!(jailed.matches("Ok(\"\") Some(Some(13))").count(), 1, "{jailed}");
    assert_eq!(jailed.matches(none).count(), 2, "what is not there may be known: {jailed}");
    let sentence = format!("tried to read `{}`: no `files.read` rule", outside.display());
    assert!(jailed.contains(&sentence), "{jailed}");

    let rule = format!("files.read = [\"{}\"]\n", outside.display());
    for policy in [rule.as_str(), "mode = \"permissive\"\n"] {
        project.write("brig.toml", policy);
        let given = said(&mut project.brig(&["build"]));
        assert!(given.contains(known) && given.matches(none).count() == 2, "{policy} {given}");
    }
    let record = fs::read_to_string(&project.files_named("target", "brig.json")[0]).unwrap();
    let record: Value = serde_json::from_str(&record).unwrap();
    let denied = &record["denials"][0];
    assert_eq!((denied["kind"].as_str(), denied["count"].as_u64()), (Some("read"), Some(1)));
}
