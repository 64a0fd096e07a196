//! What a source file hands out: the types of its public fields, and of what its public functions return.

use syn::visit::Visit;
use syn::{Field, Ident, ImplItemFn, ItemFn, ReturnType, Signature, Visibility};

/// Types that lead to a file past whoever keeps it.
const HANDLES: [&str; 8] = ["Path", "PathBuf", "OsString", "File", "NamedTempFile", "OwnedFd", "BorrowedFd", "RawFd"];

/// Public functions and fields of a source by which somebody else gets a path or the handle of a file.
pub(super) fn handed_out(source: &str) -> Vec<String> {
    let mut found = Found::default();
    found.visit_file(&syn::parse_file(source).unwrap());
    found.by
}

#[derive(Default)]
struct Found {
    by: Vec<String>,
}

impl Found {
    fn look_at(&mut self, visibility: &Visibility, signature: &Signature) {
        let ReturnType::Type(_, returned) = &signature.output else { return };
        let mut names = Names::default();
        names.visit_type(returned);
        self.add_if_public(visibility, &signature.ident.to_string(), &names);
    }

    fn add_if_public(&mut self, visibility: &Visibility, name: &str, names: &Names) {
        if matches!(visibility, Visibility::Public(_)) && names.any_is_a_handle {
            self.by.push(name.to_owned());
        }
    }
}

impl Visit<'_> for Found {
    fn visit_impl_item_fn(&mut self, function: &ImplItemFn) {
        self.look_at(&function.vis, &function.sig);
    }

    fn visit_item_fn(&mut self, function: &ItemFn) {
        self.look_at(&function.vis, &function.sig);
    }

    fn visit_field(&mut self, field: &Field) {
        let mut names = Names::default();
        names.visit_type(&field.ty);
        let name = field.ident.as_ref().map_or_else(|| "a field".to_owned(), Ident::to_string);
        self.add_if_public(&field.vis, &name, &names);
    }
}

/// The names that a type is made of.
#[derive(Default)]
struct Names {
    any_is_a_handle: bool,
}

impl Visit<'_> for Names {
    fn visit_ident(&mut self, name: &Ident) {
        self.any_is_a_handle |= HANDLES.iter().any(|handle| name == handle);
    }
}
