-- Numbers that were shown are not given again. Those of resources are not because of AUTOINCREMENT: the row of an
-- opened forward goes. Of deliveries and changes the newest row stays, and the next number is one more than its own,
-- which costs an append nothing.
CREATE TRIGGER events_keep_the_newest BEFORE DELETE ON events
WHEN OLD.event_row_id = (SELECT MAX(event_row_id) FROM events) BEGIN
    SELECT RAISE(ABORT, 'the newest delivery stays: its number must not be given again');
END;

CREATE TRIGGER changes_keep_the_newest BEFORE DELETE ON changes
WHEN OLD.seq = (SELECT MAX(seq) FROM changes) BEGIN
    SELECT RAISE(ABORT, 'the newest change stays: its number must not be given again');
END;
