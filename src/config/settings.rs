//! The form in which settings are written down, once: key, type, default and meaning.

/// Declares a section of settings: a struct whose keys all have a default, whose unknown keys are
/// errors, and whose doc comments are also the comments of `config/default.yaml`.
///
/// ```text
/// settings! {
///     /// What the section is about.
///     pub struct Limits {
///         /// What it means, in which unit. Default 100: why.
///         pub connections_per_address: u32 = 100,
///         /// Without `=` the default is the type's own.
///         pub trusted_proxies: Vec<String>,
///     }
/// }
/// ```
///
/// Each doc comment names the default as `Default <value>` (`none` where there is none); a test of
/// [`crate::config::reference`] holds the two together.
macro_rules! settings {
    ($(#[doc = $about:literal])* $visible:vis struct $name:ident {
        $($(#[doc = $doc:literal])* pub $key:ident : $type:ty $(= $default:expr)?,)*
    }) => {
        $(#[doc = $about])*
        #[derive(Debug, Clone, PartialEq, ::serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        $visible struct $name {
            $($(#[doc = $doc])* pub $key: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                $name { $($key: $crate::config::settings::or_own!($($default)?),)* }
            }
        }

        impl $crate::config::reference::Show for $name {
            fn show(&self) -> $crate::config::reference::Shown {
                $crate::config::reference::Shown::Section(vec![
                    $($crate::config::reference::Entry {
                        key: stringify!($key).trim_start_matches("r#").into(),
                        doc: &[$($doc),*],
                        value: $crate::config::reference::Show::show(&self.$key),
                    },)*
                ])
            }
        }
    };
}

/// The given default, else the type's own.
macro_rules! or_own {
    () => {
        Default::default()
    };
    ($default:expr) => {
        $default
    };
}

pub(crate) use {or_own, settings};
