-- What people are called, in small letters of every script: what is searched, and sorted by. Rows from before are filled in when
-- the database is opened.
ALTER TABLE person ADD COLUMN search TEXT COLLATE "C" NOT NULL DEFAULT '';
