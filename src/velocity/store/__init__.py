"""The database: tables, migrations and the queries of each area. Nothing else imports SQLAlchemy."""
