-- Ticket images are asked for by ticket, message and position; the API wants the position for posts
-- and refuses it for messages that are an image. Both have position 0 in their key, so the row
-- has to say which it is.
ALTER TABLE resources ADD COLUMN index_asked INTEGER NOT NULL DEFAULT 0 CHECK (index_asked IN (0, 1));

-- How many images a post in a ticket has, where an event or a walk through it told: whoever wants
-- all of them again need not ask the platform where they end.
CREATE TABLE ticket_posts (
    app_id    TEXT NOT NULL,
    ticket_id TEXT NOT NULL,
    msg_id    TEXT NOT NULL,
    images    INTEGER NOT NULL,
    PRIMARY KEY (app_id, ticket_id, msg_id)
) STRICT, WITHOUT ROWID;

-- A key that is asked for by hand may be in a message that is known.
CREATE INDEX resources_by_key ON resources (app_id, key) WHERE source = 'message';

-- A message that a ticket told first is completed by its own event, which knows the real chat.
CREATE TRIGGER messages_moved AFTER UPDATE OF chat_id ON messages WHEN OLD.chat_id <> NEW.chat_id BEGIN
    UPDATE chats SET messages = messages - 1 WHERE app_id = OLD.app_id AND chat_id = OLD.chat_id;
    INSERT INTO chats (app_id, chat_id, chat_type, messages, last_message_at)
    VALUES (NEW.app_id, NEW.chat_id, NEW.chat_type, 1, COALESCE(NEW.sent_at, NEW.seen_at))
    ON CONFLICT (app_id, chat_id) DO UPDATE SET
        messages = messages + 1,
        chat_type = COALESCE(chat_type, excluded.chat_type),
        last_message_at = MAX(COALESCE(last_message_at, 0), excluded.last_message_at);
    UPDATE resources SET chat_id = NEW.chat_id WHERE message_row_id = NEW.message_row_id;
END;
