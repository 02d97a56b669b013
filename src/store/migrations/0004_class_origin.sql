-- Whether a class list put somebody into a class: a later list that names another class takes them out of it.
-- Who is in a class already counts as put there by hand, and stays.
ALTER TABLE class_members ADD COLUMN by_list INTEGER NOT NULL DEFAULT 0 CHECK (by_list IN (0, 1));
