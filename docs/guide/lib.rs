//! The chapters of the guide, so that their Rust code is compiled and run: `cargo test -p ascendcl-guide`.

/// Makes a module of each chapter in both languages, and a list of them.
macro_rules! chapters {
    ($($module:ident $file:literal,)*) => {
        /// In English.
        pub mod en {
            $(#[doc = include_str!(concat!("en/src/", $file))] pub mod $module {})*
        }

        /// In Chinese.
        pub mod zh {
            $(#[doc = include_str!(concat!("zh/src/", $file))] pub mod $module {})*
        }

        #[cfg(test)]
        const CHAPTERS: &[(&str, &str, &str)] = &[
            $(($file, include_str!(concat!("en/src/", $file)), include_str!(concat!("zh/src/", $file))),)*
        ];
    };
}

chapters! {
    first_steps "first-steps.md",
    from_cpp "from-cpp.md",
    devices_and_threads "devices-and-threads.md",
    streams_and_events "streams-and-events.md",
    callbacks "callbacks.md",
    copies "copies.md",
    graphs "graphs.md",
    models "models.md",
    awaiting "awaiting.md",
    simulator "simulator.md",
    on_a_card "on-a-card.md",
    troubleshooting "troubleshooting.md",
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    const LANGUAGES: [&str; 2] = ["en", "zh"];

    fn file(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The code blocks of a page, with the line that opens them, without comments and without what stands between quotes.
    fn blocks(page: &str) -> Vec<String> {
        let mut blocks = Vec::new();
        let mut open: Option<String> = None;
        for line in page.lines() {
            match (&mut open, line.starts_with("```")) {
                (None, true) => open = Some(format!("{line}\n")),
                (Some(_), true) => blocks.extend(open.take()),
                (Some(block), false) if block.starts_with("```rust") || block.starts_with("```cpp") => {
                    let code = line.split("//").next().unwrap_or_default().trim_end();
                    if !code.is_empty() {
                        block.extend(code.split('"').step_by(2));
                        block.push('\n');
                    }
                }
                _ => {}
            }
        }
        assert!(open.is_none(), "a code block is not closed");
        blocks
    }

    #[test]
    fn each_chapter_is_in_both_books_and_tested() {
        for language in LANGUAGES {
            let summary = file(&format!("{language}/src/SUMMARY.md"));
            let listed: Vec<&str> =
                summary.lines().filter_map(|line| line.split_once("](")?.1.strip_suffix(')')).collect();
            let chapters: Vec<&str> = CHAPTERS.iter().map(|(file, ..)| *file).collect();
            assert_eq!(listed, chapters, "{language}/src/SUMMARY.md");
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(language).join("src");
            let pages = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            let pages =
                pages.filter(|path| path.extension().is_some_and(|extension| extension == "md")).count();
            assert_eq!(pages, chapters.len() + 1, "pages of {language}");
        }
    }

    #[test]
    fn both_languages_have_the_same_sections_and_code() {
        for (name, english, chinese) in CHAPTERS {
            let levels = |page: &str| -> Vec<usize> {
                let mut in_code = false;
                let mut levels = Vec::new();
                for line in page.lines() {
                    in_code ^= line.starts_with("```");
                    if !in_code && line.starts_with('#') {
                        levels.push(line.len() - line.trim_start_matches('#').len());
                    }
                }
                levels
            };
            assert_eq!(levels(english), levels(chinese), "headings of {name}");
            let (english, chinese) = (blocks(english), blocks(chinese));
            assert_eq!(english.len(), chinese.len(), "code blocks of {name}");
            for (english, chinese) in english.iter().zip(&chinese) {
                assert_eq!(english, chinese, "code of {name}");
            }
        }
    }

    /// The fragment that a heading gets.
    fn anchor(heading: &str) -> String {
        let kept =
            heading.chars().filter(|character| character.is_alphanumeric() || " -_".contains(*character));
        kept.flat_map(|character| if character == ' ' { '-' } else { character }.to_lowercase()).collect()
    }

    #[test]
    fn links_lead_somewhere() {
        const REPOSITORY: &str = "https://github.com/ascendcl/ascendcl/blob/main/";
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let mut links = 0;
        for (language, page) in CHAPTERS.iter().flat_map(|(_, en, zh)| [("en", *en), ("zh", *zh)]) {
            for link in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                links += 1;
                if let Some(path) = link.strip_prefix(REPOSITORY) {
                    assert!(root.join(path).exists(), "{language}: {link}");
                } else if !link.starts_with("https://") {
                    let (name, fragment) = link.split_once('#').unwrap_or((link, ""));
                    let target =
                        if name.is_empty() { page } else { &file(&format!("{language}/src/{name}")) };
                    let found = fragment.is_empty()
                        || target.lines().any(|line| {
                            line.starts_with('#')
                                && anchor(line.trim_start_matches('#').trim_start()) == fragment
                        });
                    assert!(found, "{language}: {link}");
                }
            }
        }
        assert!(links > 40, "{links} links");
    }

    /// Each book has its own copy, because a book can only show what lies in it.
    #[test]
    fn pictures_are_the_same_in_both_languages() {
        assert_eq!(file("en/src/timeline.svg"), file("zh/src/timeline.svg"));
    }

    /// Blocks without a language would be Rust for the tests and plain text for the reader.
    #[test]
    fn each_code_block_says_what_it_is() {
        for (name, english, chinese) in CHAPTERS {
            for block in blocks(english).iter().chain(&blocks(chinese)) {
                let opening = block.lines().next().unwrap_or_default();
                let known = ["rust", "rust,should_panic", "cpp", "sh", "text", "toml", "dockerfile"];
                assert!(known.contains(&&opening[3..]), "{name}: {opening}");
            }
        }
    }
}
