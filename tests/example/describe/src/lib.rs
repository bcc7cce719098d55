//! A procedural macro of the workspace's own, beside the one of serde.

use proc_macro::TokenStream;
use quote::quote;
use syn::{Data, DeriveInput, Error, parse_macro_input};

/// Adds `FIELDS`, the names of a struct's fields in the order in which they are written.
#[proc_macro_derive(Describe)]
pub fn describe(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    let Data::Struct(data) = &input.data else {
        return Error::new_spanned(&input.ident, "only a struct can be described")
            .into_compile_error()
            .into();
    };
    let name = &input.ident;
    let fields = data
        .fields
        .iter()
        .filter_map(|field| field.ident.as_ref().map(ToString::to_string));
    quote! {
        impl #name {
            /// The names of the fields.
            pub const FIELDS: &'static [&'static str] = &[#(#fields),*];
        }
    }
    .into()
}
