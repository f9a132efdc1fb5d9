//! ledgercast
