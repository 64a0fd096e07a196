//! Chats: what events tell of them besides messages.
//!
//! Each fact carries the time at which the platform says it came about; what is older than what is
//! known changes nothing, so deliveries may come in any order and more than once.

use super::{CatalogueError, Transaction};
use crate::domain::chat::{Downloads, Presence};
use crate::domain::id::{AppId, ChatId};
use crate::domain::time::Timestamp;

/// What an event tells of one chat.
#[derive(Debug, Clone, Copy)]
pub struct News<'a> {
    /// The app that was told.
    pub app_id: &'a AppId,
    /// The chat.
    pub chat_id: &'a ChatId,
    /// When it came about, by the platform's clock.
    pub told_at: Timestamp,
    /// When we learnt of it, by our own.
    pub received_at: Timestamp,
}

impl News<'_> {
    /// Makes sure that the chat is known. Only groups have events of their own.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn introduce(self, transaction: &mut Transaction) -> Result<(), CatalogueError> {
        sqlx::query(
            "INSERT INTO chats (app_id, chat_id, chat_type) VALUES (?, ?, 'group')
             ON CONFLICT (app_id, chat_id) DO NOTHING",
        )
        .bind(self.app_id.as_str())
        .bind(self.chat_id.as_str())
        .execute(transaction.connection())
        .await?;
        Ok(())
    }

    /// It is called this.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn name(self, transaction: &mut Transaction, name: &str) -> Result<(), CatalogueError> {
        sqlx::query(
            "UPDATE chats SET name = ?1, name_told_at = ?2
             WHERE app_id = ?3 AND chat_id = ?4 AND COALESCE(name_told_at < ?2, TRUE)",
        )
        .bind(name)
        .bind(self.told_at.unix_ms())
        .bind(self.app_id.as_str())
        .bind(self.chat_id.as_str())
        .execute(transaction.connection())
        .await?;
        Ok(())
    }

    /// The bot is in it, or is not.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn bot(self, transaction: &mut Transaction, presence: Presence) -> Result<(), CatalogueError> {
        sqlx::query(
            "UPDATE chats SET bot_in_chat = ?1, bot_told_at = ?2, bot_added_at = iif(?1, ?3, bot_added_at)
             WHERE app_id = ?4 AND chat_id = ?5 AND COALESCE(bot_told_at < ?2, TRUE)",
        )
        .bind(presence == Presence::In)
        .bind(self.told_at.unix_ms())
        .bind(self.received_at.unix_ms())
        .bind(self.app_id.as_str())
        .bind(self.chat_id.as_str())
        .execute(transaction.connection())
        .await?;
        Ok(())
    }

    /// Downloads are allowed in it, or forbidden.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn downloads(self, transaction: &mut Transaction, downloads: Downloads) -> Result<(), CatalogueError> {
        sqlx::query(
            "UPDATE chats SET downloads = ?1, downloads_told_at = ?2,
                 downloads_allowed_at = iif(?1 = 'allowed', ?3, downloads_allowed_at)
             WHERE app_id = ?4 AND chat_id = ?5 AND COALESCE(downloads_told_at < ?2, TRUE)",
        )
        .bind(downloads.as_str())
        .bind(self.told_at.unix_ms())
        .bind(self.received_at.unix_ms())
        .bind(self.app_id.as_str())
        .bind(self.chat_id.as_str())
        .execute(transaction.connection())
        .await?;
        Ok(())
    }

    /// It is no more.
    ///
    /// # Errors
    /// If SQLite fails.
    pub async fn disbanded(self, transaction: &mut Transaction) -> Result<(), CatalogueError> {
        sqlx::query("UPDATE chats SET disbanded_at = COALESCE(disbanded_at, ?) WHERE app_id = ? AND chat_id = ?")
            .bind(self.told_at.unix_ms())
            .bind(self.app_id.as_str())
            .bind(self.chat_id.as_str())
            .execute(transaction.connection())
            .await?;
        Ok(())
    }
}
