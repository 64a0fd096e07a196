//! Askers: which app asks by hand, and in whose name. Messages tell the tenant by themselves; what no
//! message tells of needs a store app's tenant to be known or named.

use std::fmt;

use crate::catalogue::{Catalogue, CatalogueError, by_hand, tenants};
use crate::domain::app::AppKind;
use crate::domain::id::{AppId, TenantKey};
use crate::domain::source::Target;

/// How many tenants are named to whoever has to choose one.
const TENANTS_NAMED: u32 = 5;

/// An app that asks for something.
#[derive(Debug, Clone)]
pub struct Asker {
    /// The app.
    pub app_id: AppId,
    /// Its kind: only store apps have several tenants.
    pub kind: AppKind,
    /// The tenant that somebody named.
    pub tenant_key: Option<TenantKey>,
}

/// Why it cannot be said in whose name an app should ask.
#[derive(Debug, thiserror::Error)]
pub enum NoTenant {
    /// One was named to an app that has one only.
    #[error("{0} is a custom app and has one tenant only; leave the tenant out")]
    Custom(AppId),
    /// The archive has no messages of the app.
    #[error("store app {0} asks in the name of a tenant, and no message has told of one yet; name its tenant_key")]
    NoneKnown(AppId),
    /// The archive has messages of several tenants.
    #[error("store app {0} has several tenants ({1}); name the one to ask for")]
    Several(AppId, Named),
    /// The catalogue failed.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
}

/// Some tenants, as they are named to people.
#[derive(Debug)]
pub struct Named(Vec<TenantKey>);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<&str> = self.0.iter().map(TenantKey::as_str).collect();
        f.write_str(&keys.join(", "))?;
        if keys.len() >= TENANTS_NAMED as usize { f.write_str(" …") } else { Ok(()) }
    }
}

impl Asker {
    /// An app to which nobody has named a tenant.
    #[must_use]
    pub fn new(app_id: AppId, kind: AppKind) -> Self {
        Self { app_id, kind, tenant_key: None }
    }

    /// In whose name to ask for what belongs to no message: the tenant that was named, else the only
    /// one that the app has. None for a custom app, which needs none.
    ///
    /// # Errors
    /// If that leaves it open, or the catalogue fails.
    pub async fn tenant(&self, catalogue: &Catalogue) -> Result<Option<TenantKey>, NoTenant> {
        match (self.kind, &self.tenant_key) {
            (AppKind::Custom, None) => Ok(None),
            (AppKind::Custom, Some(_)) => Err(NoTenant::Custom(self.app_id.clone())),
            (AppKind::Store, Some(named)) => Ok(Some(named.clone())),
            (AppKind::Store, None) => self.only_tenant(catalogue).await.map(Some),
        }
    }

    /// In whose name to ask for `target`; none also where the catalogue knows that already, and for
    /// what a store app is not offered in any tenant.
    pub(super) async fn tenant_for(
        &self,
        catalogue: &Catalogue,
        target: &Target,
    ) -> Result<Option<TenantKey>, NoTenant> {
        let is_open = self.kind == AppKind::Store && self.tenant_key.is_none();
        if is_open && target.source().is_for_custom_apps() {
            return Ok(None);
        }
        if is_open && by_hand::knows_tenant(catalogue.read(), &self.app_id, target).await? {
            return Ok(None);
        }
        self.tenant(catalogue).await
    }

    async fn only_tenant(&self, catalogue: &Catalogue) -> Result<TenantKey, NoTenant> {
        let mut known = tenants::of_app(catalogue.read(), &self.app_id, TENANTS_NAMED).await?;
        match (known.pop(), known.is_empty()) {
            (None, _) => Err(NoTenant::NoneKnown(self.app_id.clone())),
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                known.push(last);
                Err(NoTenant::Several(self.app_id.clone(), Named(known)))
            }
        }
    }
}
