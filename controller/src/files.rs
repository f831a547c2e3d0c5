//! Policies and profiles from files: the same objects that one gives to `kubectl apply`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, ensure};
use autotiler_core::DeviceId;
use autotiler_crds::{AutoTilerPolicy, PartitionProfile, manifest};
use kube::ResourceExt;

use crate::{
    catalog::{Catalog, DeviceEntry, ProfileEntry},
    cluster::convert,
};

/// Reads everything once.
///
/// # Errors
/// Whatever is wrong with a file, by file and field; a policy whose profile is not among the files.
pub fn load(policy: &Path, profiles: &[PathBuf], devices: Option<&[DeviceId]>) -> anyhow::Result<Catalog> {
    let mut catalog = Catalog { any_device: devices.is_none(), ..Catalog::default() };
    for path in profiles {
        let object: PartitionProfile = manifest::read(path)?;
        let profile = ProfileEntry::try_from(&object.spec).with_context(|| format!("{}", path.display()))?;
        catalog.profiles.insert(object.name_any(), profile);
    }
    let object: AutoTilerPolicy = manifest::read(policy)?;
    let mut entry = convert::policy(&object).with_context(|| format!("{}", policy.display()))?;
    // Outside of a cluster all devices are the policy's: there is nobody else to follow, and nothing has labels.
    (entry.namespace, entry.selector) = (None, None);
    entry.profile = object.spec.profile_ref.name.clone();
    let known: Vec<_> = catalog.profiles.keys().map(String::as_str).collect();
    ensure!(
        catalog.profiles.contains_key(&entry.profile),
        "{}: spec.profileRef.name: no --profile is called {:?}; there are: {}",
        policy.display(),
        entry.profile,
        known.join(", ")
    );
    catalog.policies = vec![Arc::new(entry)];
    catalog.devices = devices
        .unwrap_or_default()
        .iter()
        .map(|device| (device.clone(), DeviceEntry::default()))
        .collect::<BTreeMap<_, _>>();
    Ok(catalog)
}
