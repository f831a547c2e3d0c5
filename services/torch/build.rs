//! Lets the binaries and tests of this crate find libtorch at run time without `LD_LIBRARY_PATH`.

fn main() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    let Some(root) = std::env::var_os("LIBTORCH") else { return };
    let lib = std::path::Path::new(&root).join("lib");
    println!("cargo:rustc-link-search=native={}", lib.display());
    println!("cargo:rustc-link-arg=-Wl,-rpath={}", lib.display());
    if lib.join("libtorch_cuda.so").exists() {
        // Nothing names this library, so the linker would drop it; it registers the CUDA kernels.
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-ltorch_cuda");
    }
}
