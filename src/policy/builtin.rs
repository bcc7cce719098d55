//! The built-in policies: the files in `policies/` of the source, which the same parser reads.

use super::document::{Document, Error, Rules};

/// One of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Builtin {
    /// For developers.
    #[default]
    Default,
    /// For audits and releases.
    Strict,
    /// For build farms.
    Farm,
    /// To see what a policy would deny.
    Permissive,
}

impl Builtin {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Default, Self::Strict, Self::Farm, Self::Permissive];

    /// The name by which a document extends it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Strict => "strict",
            Self::Farm => "farm",
            Self::Permissive => "permissive",
        }
    }

    /// The names of all of them, as a message lists them.
    #[must_use]
    pub fn names() -> String {
        Self::ALL.map(Self::name).join(", ")
    }

    /// The one of this name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|builtin| builtin.name() == name)
    }

    /// The name under which messages speak of its file.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Default => "policies/default.toml",
            Self::Strict => "policies/strict.toml",
            Self::Farm => "policies/farm.toml",
            Self::Permissive => "policies/permissive.toml",
        }
    }

    /// Its text.
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Self::Default => include_str!("../../policies/default.toml"),
            Self::Strict => include_str!("../../policies/strict.toml"),
            Self::Farm => include_str!("../../policies/farm.toml"),
            Self::Permissive => include_str!("../../policies/permissive.toml"),
        }
    }

    /// Itself, and what it extends, the last one first.
    ///
    /// # Errors
    /// A mistake in the source of this program.
    pub fn documents(self) -> Result<Vec<Document>, Error> {
        // Each launch reads one of them, and to look for what is doubtful takes half of that.
        let mut documents = vec![Document::undoubted(self.file(), self.text())?];
        while let Some(base) = documents.last().and_then(|document| document.extends) {
            documents.push(Document::undoubted(base.file(), base.text())?);
        }
        documents.reverse();
        Ok(documents)
    }

    /// The system's directories and files: what the default policy names by absolute paths for reading
    /// and for executing. What may only be listed is no such place: keys lie there.
    #[must_use]
    pub fn directories() -> Vec<String> {
        let documents = Self::Default.documents().unwrap_or_default();
        let rules = documents.into_iter().flat_map(|document| {
            let Rules { read, execute, .. } = document.common;
            read.into_iter().chain(execute).map(|rule| rule.text)
        });
        rules.filter(|rule| rule.starts_with('/')).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::document::Unnamed;
    use crate::policy::{Layers, Mode, Policy};

    #[test]
    fn the_built_in_policies_are_policies() {
        for builtin in Builtin::ALL {
            let document = Document::parse(builtin.file(), builtin.text()).unwrap();
            assert!(document.warnings.0.is_empty(), "{}", document.warnings);
            let own = builtin.documents().unwrap().pop().unwrap();
            assert_eq!(own.name.as_deref(), Some(builtin.name()));
            assert_eq!(Builtin::of_name(builtin.name()), Some(builtin));
        }
        for builtin in Builtin::ALL {
            let modes =
                builtin.documents().unwrap().into_iter().filter_map(|document| document.mode);
            let modes: Vec<Mode> = modes.map(|(mode, _)| mode).collect();
            let expected: &[Mode] =
                if builtin == Builtin::Permissive { &[Mode::Permissive] } else { &[] };
            assert_eq!(modes, expected);
        }
        let farm = Builtin::Farm.documents().unwrap();
        assert!(farm.last().unwrap().locked.is_some());
    }

    #[test]
    fn where_keys_lie_is_not_the_system() {
        let system = Builtin::directories();
        let is_system = |path: &str| system.iter().any(|directory| path.starts_with(directory));
        assert!(is_system("/usr/lib/x") && !is_system("/etc/ssl/private/x.key"));
    }

    /// Names as the documentation of clouds, CI systems, registries and tools spells them, and names that
    /// build scripts of published crates ask for.
    #[test]
    fn default_tells_secrets_from_what_crates_ask_for() {
        let layers = Layers::of(Vec::new(), None).unwrap();
        let policy = Policy::of(&layers, "p", "1.0.0");
        let becomes = |name: &str| policy.variable(name.as_bytes()).0;
        for secret in [
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
            "ANTHROPIC_API_KEY",
            "ARM_CLIENT_SECRET",
            "AWS_ACCESS_KEY_ID",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AZURE_CLIENT_SECRET",
            "AZURE_STORAGE_CONNECTION_STRING",
            "BITBUCKET_STEP_OIDC_TOKEN",
            "BUILDKITE_AGENT_ACCESS_TOKEN",
            "CARGO_REGISTRIES_MY_TOKEN",
            "CARGO_REGISTRY_TOKEN",
            "CI_DEPLOY_PASSWORD",
            "CI_JOB_JWT_V2",
            "CI_JOB_TOKEN",
            "CI_REGISTRY_PASSWORD",
            "CI_REPOSITORY_URL",
            "CIRCLE_OIDC_TOKEN",
            "CLOUDFLARE_API_KEY",
            "CODECOV_TOKEN",
            "COSIGN_PASSWORD",
            "DATABASE_URL",
            "DB_PASS",
            "DIGITALOCEAN_ACCESS_TOKEN",
            "DOCKER_AUTH_CONFIG",
            "GH_TOKEN",
            "GITHUB_PAT",
            "GITHUB_TOKEN",
            "GITLAB_PRIVATE_TOKEN",
            "GOOGLE_APPLICATION_CREDENTIALS",
            "GPG_PASSPHRASE",
            "HEROKU_API_KEY",
            "HF_TOKEN",
            "KUBECONFIG",
            "MYSQL_PWD",
            "NETLIFY_AUTH_TOKEN",
            "NODE_AUTH_TOKEN",
            "NPM_TOKEN",
            "NUGET_API_KEY",
            "OPENAI_API_KEY",
            "OP_SERVICE_ACCOUNT_TOKEN",
            "OP_SESSION_my",
            "PGPASSWORD",
            "RSYNC_PASSWORD",
            "SENTRY_DSN",
            "SLACK_WEBHOOK_URL",
            "SSH_AUTH_SOCK",
            "SYSTEM_ACCESSTOKEN",
            "TF_TOKEN_app_terraform_io",
            "TWINE_PASSWORD",
            "VAULT_TOKEN",
            "github_token",
        ] {
            assert_eq!(becomes(secret), Unnamed::Withhold, "{secret}");
        }
        for asked in [
            "AR",
            "BINDGEN_EXTRA_CLANG_ARGS",
            "CC_x86_64_unknown_linux_gnu",
            "CFLAGS",
            "CI",
            "CMAKE_TOOLCHAIN_FILE",
            "GITHUB_SHA",
            "HTTPS_PROXY",
            "LIBCLANG_PATH",
            "LIBGIT2_NO_VENDOR",
            "LIBSSH2_SYS_USE_PKG_CONFIG",
            "LIBZ_SYS_STATIC",
            "LLVM_SYS_180_PREFIX",
            "NASM",
            "OLDPWD",
            "OPENSSL_DIR",
            "OPENSSL_NO_VENDOR",
            "OPENSSL_STATIC",
            "PATH",
            "PKG_CONFIG_ALLOW_CROSS",
            "PROTOC",
            "PWD",
            "PYO3_PYTHON",
            "RING_PREGENERATE_ASM",
            "ROCKSDB_LIB_DIR",
            "SODIUM_LIB_DIR",
            "SOURCE_DATE_EPOCH",
            "SQLITE3_LIB_DIR",
            "VCPKG_ROOT",
            "ZSTD_SYS_USE_PKG_CONFIG",
        ] {
            assert_eq!(becomes(asked), Unnamed::Pass, "{asked}");
        }
    }
}
