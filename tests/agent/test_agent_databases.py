# Copyright (c) 2026 borgfleet.bbs contributors
# SPDX-License-Identifier: GPL-3.0-or-later

"""Database plugins: real servers where they are installed, else the programs' command lines."""

import gzip
import json

import pytest

from ..database_servers import PASSWORD, config_for


def plugin_test(bbs, installation, slug, config):
    bbs.tasks = [{"task": "plugin_test", "job_id": 8, "plugin": {"slug": slug, "config": config}}]
    installation.start()
    return bbs.wait_for_status(8)


def dump_then_backup(bbs, installation, repository, dump_dir, slug, config):
    """A backup of the dump directory alone; its report."""
    entry = {"slug": slug, "config": config, "config_id": 12, "config_name": "Production"}
    bbs.tasks = [dict(repository.backup(1, dump_dir), plugins=[entry])]
    installation.start()
    report = bbs.wait_for_status(1)
    # The next poll comes after the clean-up.
    count = len(bbs.bodies("tasks"))
    bbs.wait(lambda: len(bbs.bodies("tasks")) > count)
    return report


def archived(repository, tmp_path, dump_dir, name):
    """One dump, out of the archive and unpacked."""
    target = tmp_path / "out"
    target.mkdir(exist_ok=True)
    path = str(dump_dir / name)[1:]
    out = repository.extract("plan1-1", path)
    return (gzip.decompress(out) if name.endswith(".gz") else out).decode()


DATABASES = [("pg_dump", "pg"), ("mysql_dump", "maria")]


@pytest.mark.parametrize("slug, server", DATABASES)
def test_every_database_is_dumped_and_archived(request, slug, server, installation, bbs, repository, tmp_path):
    port, _sql = request.getfixturevalue(server)
    dumps = tmp_path / "dumps"
    config = config_for(port, dumps)
    # MariaDB's own database is not in the default excludes.
    if server == "maria":
        config["exclude_databases"] = "information_schema,performance_schema,sys,mysql"
    report = dump_then_backup(bbs, installation, repository, dumps, slug, config)
    assert report["result"] == "completed", report
    assert report["databases_backed_up"] == {
        "version": 2,
        "groups": [
            {
                "config_id": 12,
                "config_name": "Production",
                "engine": slug,
                "dump_dir": str(dumps),
                "databases": ["news", "shop"],
                "per_database": True,
                "compress": True,
            }
        ],
    }
    assert "row of shop" in archived(repository, tmp_path, dumps, "shop.sql.gz")
    assert list(dumps.iterdir()) == []
    assert PASSWORD not in json.dumps(bbs.requests)


@pytest.mark.parametrize("slug, server", DATABASES)
def test_the_whole_server_in_one_uncompressed_file(request, slug, server, installation, bbs, repository, tmp_path):
    port, _sql = request.getfixturevalue(server)
    dumps = tmp_path / "dumps"
    config = config_for(port, dumps, per_database=False, compress="0", cleanup_after=False)
    report = dump_then_backup(bbs, installation, repository, dumps, slug, config)
    assert report["result"] == "completed", report
    assert report["databases_backed_up"]["groups"][0]["per_database"] is False
    text = archived(repository, tmp_path, dumps, "all_databases.sql")
    assert "row of shop" in text and "row of news" in text
    assert (dumps / "all_databases.sql").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("slug, server", DATABASES)
def test_a_test_lists_databases_and_a_wrong_password_is_told(request, slug, server, installation, bbs, tmp_path):
    port, _sql = request.getfixturevalue(server)
    report = plugin_test(bbs, installation, slug, config_for(port, tmp_path))
    assert report["result"] == "completed" and "news" in report["output_log"], report
    wrong = {"slug": slug, "config": config_for(port, tmp_path, password="wrong-password")}
    bbs.tasks.append({"task": "plugin_test", "job_id": 9, "plugin": wrong})
    report = bbs.wait_for_status(9)
    assert report["result"] == "failed" and "exit code" in report["error_log"]
    assert "wrong-password" not in report["error_log"]


@pytest.mark.parametrize("slug, server", DATABASES)
def test_a_database_that_is_not_there(request, slug, server, installation, bbs, repository, tmp_path):
    port, _sql = request.getfixturevalue(server)
    dumps = tmp_path / "dumps"
    config = config_for(port, dumps, databases="shop, nothere")
    report = dump_then_backup(bbs, installation, repository, dumps, slug, config)
    assert (report["result"], report["had_warnings"]) == ("completed", True)
    assert "nothere" in report["error_log"]
    assert [path.name for path in dumps.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("slug", ["mysql_dump", "pg_dump"])
def test_a_login_is_needed(installation, bbs, tmp_path, slug):
    report = plugin_test(bbs, installation, slug, {"user": "backup"})
    assert report["result"] == "failed" and "user and password" in report["error_log"]


def dump_only(bbs, installation, slug, config):
    """Dump, and end when borg's turn comes; the dumps stay."""
    task = {"task": "backup", "job_id": 1, "command": [], "plugins": [{"slug": slug, "config": config}]}
    bbs.tasks = [task]
    installation.start()
    bbs.wait_for_status(1)
    assert not any(body.get("log_level") == "warning" for body in bbs.bodies("progress"))


def test_mysql_gets_its_password_in_a_file(installation, bbs, tools, tmp_path):
    tools("mysql", "echo shop; echo information_schema\n")
    tools("mysqldump", 'echo "dump of $*"\n')
    dumps = tmp_path / "dumps"
    dump_only(bbs, installation, "mysql_dump", config_for(3307, dumps))
    assert gzip.decompress((dumps / "shop.sql.gz").read_bytes()).decode().rstrip().endswith("--events -- shop")
    assert PASSWORD not in (tmp_path / "arguments").read_text()
    options = (tmp_path / "files").read_text()
    assert 'password="p"a\'s s\\\\w#rd"' in options and "port=3307" in options


def test_mongo_gets_its_password_in_a_file(installation, bbs, tools, tmp_path):
    tools("mongosh", 'cat "$3" >> {}/files; echo \'["admin","shop"]\'\n'.format(tmp_path))
    tools(
        "mongodump",
        'for a in "$@"; do case $a in --out=*) out=${a#*=};; --db=*) db=${a#*=};; esac; done\nmkdir -p "$out/$db"; echo bson > "$out/$db/t.bson.gz"\n',
    )
    dumps = tmp_path / "dumps"
    dump_only(bbs, installation, "mongo_dump", config_for(27018, dumps))
    assert [path.name for path in dumps.iterdir()] == ["shop"]
    assert (dumps / "shop" / "t.bson.gz").read_text() == "bson\n"
    arguments = (tmp_path / "arguments").read_text()
    assert "--authenticationDatabase=admin" in arguments and "--gzip" in arguments
    assert PASSWORD not in arguments and "p%22a%27s" not in arguments
    assert "p%22a%27s" in (tmp_path / "files").read_text()


def test_a_dump_directory_that_cannot_be_made(installation, bbs, tmp_path):
    (tmp_path / "file").touch()
    config = config_for(1, tmp_path / "file" / "dumps", abort_on_failure="1")
    bbs.tasks = [{"task": "backup", "job_id": 1, "plugins": [{"slug": "pg_dump", "config": config}]}]
    installation.start()
    report = bbs.wait_for_status(1)
    assert report["result"] == "failed" and str(tmp_path / "file" / "dumps") in report["error_log"]


def test_a_missing_program_is_named(installation, bbs, repository, tmp_path, monkeypatch):
    monkeypatch.setattr("bbs_agent.plugins.mongo_dump.shutil.which", lambda _name: None)
    report = plugin_test(bbs, installation, "mongo_dump", {})
    assert report["result"] == "failed" and "neither mongosh nor mongo" in report["error_log"]
