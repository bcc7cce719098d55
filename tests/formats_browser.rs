//! The report's page in a real browser. These tests need `chromium` in `PATH`, which nothing else does:
//!
//! ```sh
//! cargo test --test formats_browser -- --ignored
//! ```

#[path = "support/hostile.rs"]
mod hostile;

use std::fs;
use std::process::Command;

use cargo_brig::audit::behaviour::Aspect;
use cargo_brig::audit::formats::Format;
use cargo_brig::audit::report::Report;

fn page(report: &Report) -> String {
    let mut text = Vec::new();
    Format::Html.write(report, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// The document after the browser has loaded this page, with this behind the address.
fn opened(page: &str, fragment: &str) -> String {
    let directory = tempfile::Builder::new().prefix("brig tést ").tempdir().unwrap();
    let file = directory.path().join("audit.html");
    fs::write(&file, page).unwrap();
    let address = format!("file://{}{fragment}", file.to_str().unwrap().replace(' ', "%20"));
    let mut chromium = Command::new("chromium");
    chromium
        // Its sandbox cannot be had by root; the page is our own.
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run"])
        .arg(format!("--user-data-dir={}", directory.path().join("profile").display()))
        .args(["--virtual-time-budget=5000", "--timeout=60000", "--dump-dom", &address]);
    let output =
        chromium.output().unwrap_or_else(|error| panic!("chromium cannot be started: {error}"));
    let document = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && document.contains("</html>"),
        "{}: {document}",
        output.status
    );
    document
}

fn title(document: &str) -> &str {
    document.split_once("<title>").unwrap().1.split_once("</title>").unwrap().0
}

#[test]
#[ignore = "needs chromium in PATH"]
fn nothing_breaks_out_of_the_page() {
    let page = page(&hostile::report());
    let document = opened(&page, "");
    assert_eq!(title(&document), "Audit of /work spacé");
    assert!(!document.contains("<img") && !document.contains("autofocus="), "{document}");
    assert_eq!(document.matches("<script").count(), 1);
    assert!(document.contains(">10 of 10 packages</span>"), "the page's own script did not run");

    // The same texts would, if they were not escaped.
    let mut open = page.replacen("Content-Security-Policy", "X-No-Policy", 1);
    for (escaped, letter) in [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'")] {
        open = open.replace(escaped, letter);
    }
    let document = opened(&open, "");
    assert_eq!(title(&document), "broken");
    assert!(document.contains("<img") && document.matches("<script").count() > 1);
}

/// If something broke out in spite of all, the page's policy would still not let it run.
#[test]
#[ignore = "needs chromium in PATH"]
fn the_policy_lets_no_other_script_run() {
    for attack in [
        "<script>document.title='broken'</script>",
        "<img src=\"data:,\" onerror=\"document.title='broken'\">",
    ] {
        let page = page(&hostile::report()).replacen("<main", &format!("{attack}<main"), 1);
        assert_eq!(title(&opened(&page, "")), "Audit of /work spacé", "{attack}");
        let open = page.replacen("Content-Security-Policy", "X-No-Policy", 1);
        assert_eq!(
            title(&opened(&open, "")),
            "broken",
            "{attack} does nothing even without a policy"
        );
    }
}

#[test]
#[ignore = "needs chromium in PATH"]
fn packages_are_found() {
    let page = page(&hostile::report());
    let found = |fragment: &str| {
        let document = opened(&page, fragment);
        let hidden = document.matches("data-denials").count()
            - document
                .split("<details ")
                .skip(1)
                .filter(|details| !details.split_once('>').unwrap().0.contains("hidden"))
                .count();
        let status = document.split_once("role=\"status\">").unwrap().1;
        (status.split_once('<').unwrap().0.to_owned(), hidden)
    };
    assert_eq!(found("#search=unjailed"), ("1 of 10 packages".to_owned(), 9));
    assert_eq!(found("#search=CONFIG%20nothing"), ("0 of 10 packages".to_owned(), 10));
    assert_eq!(found("#search=change-program%20%3Cscript%3E"), ("1 of 10 packages".to_owned(), 9));
    let document = opened(&page, "#package-0");
    let first = document.split_once("id=\"package-0\"").unwrap().1.split_once('>').unwrap().0;
    assert!(first.contains("open"), "{first}");
}

/// The page of a large build. `BRIG_PAGE=FILE` keeps it, to be looked at.
#[test]
#[ignore = "needs chromium in PATH"]
fn three_hundred_packages_open() {
    let mut report = hostile::report();
    let packages = report.packages.split_off(1);
    let processes = report.packages[0].runs[0].processes.clone();
    let rest = packages.iter().cycle().take(299).enumerate().map(|(number, package)| {
        let mut package = package.clone();
        package.name = format!("{}-{number}", package.name.to_lowercase());
        let reads = (0..200).map(|file| format!("{{home}}/directory {}/file-{file}.h", file / 20));
        package.behaviour.of_mut(Aspect::Reads).extend(reads);
        // As many as of a script that compiles a small C library.
        for run in &mut package.runs {
            run.processes = processes.iter().cycle().take(20).cloned().collect();
            for (id, process) in (0_u32..).zip(&mut run.processes) {
                (process.id, process.parent) = (id, id.checked_sub(1).map(|last| last / 2));
                process.program = Some("/usr/bin/x86_64-linux-gnu-gcc-13".to_owned());
                let source = format!("{{package}}/source/library/file-{id}.c");
                let arguments = ["cc", "-O3", "-ffunction-sections", "-fPIC", "-c", &source];
                process.arguments = arguments.map(str::to_owned).to_vec();
            }
        }
        package
    });
    report.packages.extend(rest);
    let page = page(&report);
    if let Some(file) = std::env::var_os("BRIG_PAGE") {
        fs::write(file, &page).unwrap();
    }
    assert!(opened(&page, "").contains(">300 of 300 packages</span>"));
}
