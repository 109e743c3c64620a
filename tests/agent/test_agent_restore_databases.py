# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Databases dumped, archived, damaged, restored from the archive into the real servers, and compared."""

import json
import os

import pytest

from bbs_agent.plugins.dump_files import DumpFiles, mysql_section, pg_section

from ..database_servers import PASSWORD, config_for

# Lines that look like what separates databases in a dump, where they are nothing but content.
MARIA_CONTENT = """
CREATE DATABASE {0} CHARACTER SET latin1 COLLATE latin1_german1_ci;
USE {0};
CREATE TABLE goods (id int PRIMARY KEY, name text CHARACTER SET utf8mb4, picture blob);
INSERT INTO goods VALUES (1, 'line\nUSE `other`;\nit''s "fine" \\\\', x'00ff0a5c27'), (2, '\N{SNOWMAN}', NULL);
CREATE VIEW cheap AS SELECT id FROM goods WHERE id < 2;
DELIMITER $$
CREATE PROCEDURE odd() BEGIN
/*
USE `{0}_other`;
CREATE DATABASE evil;
*/
SELECT 1;
END$$
CREATE TRIGGER twice BEFORE INSERT ON goods FOR EACH ROW SET NEW.id = NEW.id * 2$$
DELIMITER ;
"""
MARIA_STATE = """
SELECT 'row', id, HEX(name), HEX(picture) FROM {0}.goods ORDER BY id; SELECT 'view', id FROM {0}.cheap;
SELECT 'routine', routine_name, routine_definition FROM information_schema.routines WHERE routine_schema = '{0}';
SELECT 'trigger', trigger_name, action_statement FROM information_schema.triggers WHERE trigger_schema = '{0}';
SELECT 'form', default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = '{0}';
SELECT 'tables', table_name FROM information_schema.tables WHERE table_schema = '{0}' ORDER BY table_name;
"""
PG_CONTENT = r"""
CREATE TABLE goods (id int PRIMARY KEY, name text, picture bytea);
INSERT INTO goods VALUES (1, E'line\n\\connect other\n\\.\nit''s "fine" \\', '\x00ff0a5c27'), (2, U&'\2603', NULL);
CREATE VIEW cheap AS SELECT id FROM goods WHERE id < 2;
CREATE FUNCTION odd() RETURNS int LANGUAGE sql AS $odd$
/* a 'quote
\connect {0}_other
CREATE DATABASE evil;
*/ SELECT 1 $odd$;
CREATE SEQUENCE numbers START 7;
"""
PG_STATE = """
SELECT id, name, picture FROM goods ORDER BY id; SELECT id FROM cheap; SELECT odd(); SELECT last_value FROM numbers;
SELECT prosrc FROM pg_proc WHERE proname = 'odd';
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY relname;
SELECT pg_encoding_to_char(encoding), pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database();
"""


class Maria:
    """What the tests do to a database of a MariaDB."""

    slug, task, config, own = "mysql_dump", "restore_mysql", "mysql_config", "mysql"

    def __init__(self, server):
        self.port, self.sql = server

    def create(self, name):
        self.sql(MARIA_CONTENT.format(name))

    def damage(self, name):
        self.sql("USE {0}; DELETE FROM goods WHERE id = 1; DROP VIEW cheap; CREATE TABLE extra (x int)".format(name))

    def drop(self, *names):
        self.sql("".join("DROP DATABASE IF EXISTS {};".format(name) for name in names))

    def state(self, name):
        return self.sql(MARIA_STATE.format(name))

    def databases(self):
        return self.sql("SHOW DATABASES").split()


class Postgres:
    """What the tests do to a database of a PostgreSQL."""

    slug, task, config, own = "pg_dump", "restore_pg", "pg_config", "postgres"

    def __init__(self, server):
        self.port, self.sql = server

    def create(self, name):
        self.sql("CREATE DATABASE {}".format(name))
        self.sql(PG_CONTENT.replace("{0}", name), name)

    def damage(self, name):
        self.sql("DELETE FROM goods WHERE id = 1; DROP VIEW cheap; CREATE TABLE extra (x int)", name)

    def drop(self, *names):
        for name in names:
            self.sql("DROP DATABASE IF EXISTS {}".format(name))

    def state(self, name):
        return self.sql(PG_STATE, name)

    def databases(self):
        return self.sql("SELECT datname FROM pg_database").split()


@pytest.fixture(params=[(Maria, "maria"), (Postgres, "pg")], ids=["mariadb", "postgresql"])
def engine(request):
    kind, server = request.param
    found = kind(request.getfixturevalue(server))
    yield found
    found.drop("stock", "stock_other", "stock_copy")


def restore(engine, repository, job_id, dump_dir, databases, **config):
    """A task as §7.2 shows it; the paths are the dumps'."""
    command = ["borg", "extract", "--log-json", "--progress", "--list", "--lock-wait=600"]
    command += [repository.url + "::plan1-1", str(dump_dir).lstrip("/")]
    task = {"task": engine.task, "job_id": job_id, "command": command, "env": dict(repository.env), "cwd": "/"}
    login = config_for(engine.port, dump_dir, compress=True, **config)
    return dict(task, databases=databases, **{engine.config: login})


@pytest.mark.slow
def test_databases_are_restored_from_the_archive(engine, installation, bbs, repository, tmp_path):
    """Replaced and under another name; from a dump of its own and from one of the whole server."""
    engine.create("stock")
    engine.create("stock_other")
    before = engine.state("stock")
    each, whole = tmp_path / "each", tmp_path / "whole"
    chosen = {"databases": "stock,stock_other"}
    plugins = [
        {"slug": engine.slug, "config": config_for(engine.port, each, **chosen)},
        {"slug": engine.slug, "config": config_for(engine.port, whole, per_database=False, compress=False)},
    ]
    bbs.tasks = [dict(repository.backup(1, each, whole), plugins=plugins)]
    installation.start()
    report = bbs.wait_for_status(1)
    assert report["result"] == "completed" and "had_warnings" not in report, report
    bbs.wait(lambda: len([body for body in bbs.bodies("progress") if "removed" in body.get("log_message", "")]) == 2)

    for job_id, dump_dir in ((2, each), (3, whole)):
        engine.damage("stock")
        assert engine.state("stock_other")
        engine.drop("stock_other")
        databases = [
            {"database": "stock", "mode": "replace"},
            {"database": "stock", "mode": "rename", "target_name": "stock_copy"},
            {"database": "stock_other", "mode": "replace"},
        ]
        if dump_dir == whole:
            # The server asks for all databases of such a dump, its own among them.
            databases.append({"database": engine.own, "mode": "replace"})
        bbs.tasks.append(restore(engine, repository, job_id, dump_dir, databases))
        report = bbs.wait_for_status(job_id)
        assert report["result"] == "completed", report
        assert report.get("had_warnings", False) == (dump_dir == whole)
        told = "{}: left out, since it is the database server's own".format(engine.own)
        assert report.get("error_log", "").startswith(told if dump_dir == whole else "")
        assert report["output_log"] == "Restored: stock, stock as stock_copy, stock_other"
        assert engine.state("stock") == before
        assert engine.state("stock_copy").replace("stock_copy", "stock") == before
        assert engine.state("stock_other").splitlines()[:2] == before.splitlines()[:2]
        assert "evil" not in engine.databases()
        assert not any(name.startswith("bbs_restore") for name in engine.databases())
        engine.drop("stock_copy")
    assert list(each.iterdir()) == list(whole.iterdir()) == []

    # What is refused leaves everything as it is, and says so.
    databases = [
        {"database": "stock", "mode": "rename", "target_name": "stock_other"},
        {"database": "nothere", "mode": "replace"},
        {"database": "stock", "mode": "replace"},
    ]
    bbs.tasks.append(restore(engine, repository, 4, each, databases))
    report = bbs.wait_for_status(4)
    assert report["result"] == "failed" and report["output_log"] == "Restored: stock"
    assert report["error_log"].splitlines() == [
        "stock: there is a database stock_other already",
        "nothere: the archive holds no dump of it",
    ]
    bbs.tasks.append(
        restore(engine, repository, 5, whole, [{"database": "nothere", "mode": "replace"}], password="wrong-password")
    )
    report = bbs.wait_for_status(5)
    assert report["result"] == "failed" and "wrong-password" not in json.dumps(report)
    bbs.tasks.append(restore(engine, repository, 6, whole, [{"database": engine.own, "mode": "replace"}]))
    report = bbs.wait_for_status(6)
    assert report["result"] == "failed" and "it is the server's own" in report["error_log"]
    assert PASSWORD not in json.dumps(bbs.requests)


@pytest.mark.parametrize(
    "more, words",
    [
        ({}, "named no database to restore"),
        ({"databases": ["shop"]}, "named no database in 'shop'"),
        ({"databases": [{"database": "shop"}]}, "mode must be replace or rename"),
        ({"databases": [{"database": "shop", "mode": "rename"}]}, "needs a target_name"),
        ({"databases": [{"database": "shop", "mode": "replace"}]}, "sent no mysql_config"),
        ({"databases": [{"database": "shop", "mode": "replace"}], "mysql_config": {}}, "user and password"),
        (
            {
                "databases": [{"database": "s", "mode": "replace"}],
                "mysql_config": {"user": "u", "password": "secret", "dump_dir": "x"},
            },
            "not an absolute path",
        ),
    ],
)
def test_a_restore_that_makes_no_sense_fails_with_a_sentence(installation, bbs, more, words):
    bbs.tasks = [dict(more, task="restore_mysql", job_id=9)]
    installation.start()
    report = bbs.wait_for_status(9)
    assert report["result"] == "failed" and words in report["error_log"]


def test_an_archive_without_the_dumps(installation, bbs, repository, data, tmp_path):
    """Borg's own words, and neither dumps nor directories stay behind."""
    bbs.tasks = [repository.backup(1, data)]
    installation.start()
    bbs.wait_for_status(1)

    class Nothing:
        port, task, config = 1, "restore_pg", "pg_config"

    dumps = tmp_path / "dumps"
    bbs.tasks.append(restore(Nothing, repository, 2, dumps, [{"database": "shop", "mode": "replace"}]))
    report = bbs.wait_for_status(2)
    assert report["result"] == "failed" and "never matched" in report["error_log"]
    assert not dumps.exists()


# what belongs to which database -------------------------------------------------------------


def chosen(section, text, database, holds_others=True):
    return b"".join(section(text.encode().splitlines(keepends=True), database, holds_others)).decode()


def test_a_mysql_dump_that_names_its_database_loads_into_any():
    text = "SET x;\n/*!40000 DROP DATABASE IF EXISTS `a`*/;\nCREATE DATABASE `a`;\n\nUSE `a`;\nCREATE TABLE t;\n"
    assert chosen(mysql_section, text, "a", holds_others=False) == "SET x;\n\nCREATE TABLE t;\n"
    assert chosen(mysql_section, text, "b") == ""


def test_a_mysql_database_may_come_in_two_parts():
    """mysqldump writes views that need other databases at the end."""
    text = "SET x;\nUSE `a``b`;\none\nUSE `other`;\ntwo\nUSE `a``b`;\nthree\n"
    assert chosen(mysql_section, text, "a`b") == "SET x;\none\nthree\n"


@pytest.mark.parametrize(
    "command, name",
    [
        ("\\connect shop", "shop"),
        ('\\connect "Shop ""x"""', 'Shop "x"'),
        ("\\connect -reuse-previous=on \"dbname='it\\'s a=b\\\\c'\"", "it's a=b\\c"),
    ],
)
def test_every_way_to_name_a_postgresql_database(command, name):
    text = "CREATE ROLE r;\nCREATE DATABASE x;\n{}\nin\n\\connect zzz\nout\n".format(command)
    assert chosen(pg_section, text, name) == "in\n"


@pytest.mark.parametrize(
    "opening, closing",
    [("SELECT 'a''", "';"), ('"a""', '"'), ("$x$ $y$ '", "$x$"), ("/* it's", "*/"), ("COPY t (x) FROM stdin;", "\\.")],
)
def test_what_is_quoted_separates_nothing(opening, closing):
    text = "\\connect a\n{}\n\\connect b\nDROP DATABASE a;\n{}\nmine -- it's\n\\connect b\nnot mine\n".format(
        opening, closing
    )
    assert chosen(pg_section, text, "a") == "{}\n\\connect b\nDROP DATABASE a;\n{}\nmine -- it's\n".format(
        opening, closing
    )


def test_a_mongo_dump_goes_into_an_archive_and_out_of_it(installation, bbs, repository, tools, tmp_path):
    """With stand-ins for MongoDB's tools: what is asked of them, and that the dump is there when they are."""
    tools(
        "mongodump",
        'for a; do case $a in --out=*) out=${a#*=};; --db=*) db=${a#*=};; esac; done; mkdir -p "$out/$db"; '
        'echo "rows of $db" > "$out/$db/t.bson.gz"\n',
    )
    tools(
        "mongorestore",
        'case $* in *none.*) echo "error connecting to db server" >&2; exit 1;; esac\n'
        'for a; do case $a in --dir=*) cat "${{a#*=}}/shop/t.bson.gz" >> {}/loaded;; esac; done\n'.format(tmp_path),
    )
    tools("mongosh", 'echo \'["admin", "shop"]\'\n')
    dumps = tmp_path / "dumps"
    plugin = {"slug": "mongo_dump", "config": config_for(27018, dumps, databases="shop,none")}
    bbs.tasks = [dict(repository.backup(1, dumps), plugins=[plugin])]
    installation.start()
    assert bbs.wait_for_status(1)["result"] == "completed"

    class Mongo:
        port, task, config = 27018, "restore_mongo", "mongo_config"

    databases = [
        {"database": "shop", "mode": "replace"},
        {"database": "shop", "mode": "rename", "target_name": "copy"},
        {"database": "none", "mode": "replace"},
    ]
    bbs.tasks.append(restore(Mongo, repository, 2, dumps, databases))
    report = bbs.wait_for_status(2)
    assert report["result"] == "failed" and report["output_log"] == "Restored: shop, shop as copy"
    # The stand-in in between also tried to note the directory.
    assert report["error_log"].startswith("none: mongorestore failed with exit code 1: ")
    assert report["error_log"].endswith("error connecting to db server")
    calls = [line for line in (tmp_path / "arguments").read_text().splitlines() if "mongorestore" in line]
    common = "--host=127.0.0.1 --port=27018 --username=backup --authenticationDatabase=admin --config="
    assert all(common in call and "--gzip" in call and " --dir={}/.bbs-".format(dumps) in call for call in calls)
    assert "--nsInclude=shop.* --drop" in calls[0]
    assert "--nsInclude=shop.* --nsFrom=shop.* --nsTo=copy.*" in calls[1] and "--drop" not in calls[1]
    assert (tmp_path / "loaded").read_text() == "rows of shop\n" * 2
    assert PASSWORD not in (tmp_path / "arguments").read_text() + json.dumps(bbs.requests)
    assert list(dumps.iterdir()) == []


def test_mongo_dumps_are_known_by_what_is_in_them(tmp_path):
    (tmp_path / "shop" / "dumps" / "shop").mkdir(parents=True)
    (tmp_path / "shop" / "dumps" / "shop" / "t.bson.gz").touch()
    assert DumpFiles(str(tmp_path)).parent_of("shop") == os.path.join(str(tmp_path), "shop", "dumps")
