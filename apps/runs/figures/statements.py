"""The SQL of ``metrics``: each goes through the table's key, which leads with run and name."""

from __future__ import annotations

COPY = "copy runs_metric (run_id, name, step, value, at) from stdin"

# One look into the key a name, however many steps it has.
NAMES = """
with recursive known(name) as (
    (select name from runs_metric where run_id = %(run)s order by name limit 1)
    union all
    select (
        select next.name from runs_metric as next
        where next.run_id = %(run)s and next.name > known.name order by next.name limit 1
    ) from known where known.name is not null
)
select name from known where name is not null
"""

ENDS = """
select wanted.name, first.step, last.step
from unnest(%(names)s::text[]) as wanted(name)
cross join lateral (
    select step from runs_metric where run_id = %(run)s and name = wanted.name
    order by step limit 1
) as first
cross join lateral (
    select step from runs_metric where run_id = %(run)s and name = wanted.name
    order by step desc limit 1
) as last
"""

FORGET = """
delete from runs_metric
where run_id = %(run)s and name = any(%(names)s) and step between %(low)s and %(high)s
    and step = any(%(steps)s)
"""

PACKED = """
select wanted.name, packed.*
from unnest(%(names)s::text[]) as wanted(name)
cross join lateral (
    select string_agg(int4send(step), ''), string_agg(float8send(coalesce(value, 'NaN')), ''),
        string_agg(timestamptz_send(at), '')
    from (
        select step, value, at from runs_metric
        where run_id = %(run)s and name = wanted.name and step between %(first)s and %(last)s
        order by step
    ) as ordered
) as packed
"""

AVERAGED = """
select name, array_agg(step), array_agg(mean), array_agg(at), sum(count)
from (
    select name, least(%(first)s + %(width)s * (place + 1) - 1, %(last)s) as step, mean, at, count
    from (
        select name, (step - %(first)s) / %(width)s as place, avg(value) as mean,
            round(extract(epoch from max(at)), 3)::float8 as at, count(*)
        from runs_metric
        where run_id = %(run)s and name = any(%(names)s)
            and step between %(first)s and %(last)s
        group by name, place
    ) as few order by name, place
) as ordered group by name
"""

# The numbers are looked up at evenly spaced steps: forty looks into the key a run.
SPARK = """
select run_id, value from (
    select distinct on (wanted.run_id, point.step) wanted.run_id, point.step, point.value
    from unnest(%(runs)s::bigint[]) as wanted(run_id)
    cross join lateral (
        select name from unnest(%(names)s::text[]) with ordinality as choice(name, place)
        where exists (
            select from runs_metric as met
            where met.run_id = wanted.run_id and met.name = choice.name
        )
        order by place limit 1
    ) as chosen
    cross join lateral (
        select
            (select step from runs_metric as met where met.run_id = wanted.run_id
                and met.name = chosen.name order by step limit 1) as low,
            (select step from runs_metric as met where met.run_id = wanted.run_id
                and met.name = chosen.name order by step desc limit 1) as high
    ) as ends
    cross join generate_series(0, %(points)s) as place
    cross join lateral (
        select step, value from runs_metric as met
        where met.run_id = wanted.run_id and met.name = chosen.name and value is not null
            and met.step <= ends.low + (ends.high - ends.low)::bigint * place / %(points)s
        order by step desc limit 1
    ) as point
) as points order by run_id, step
"""

STEPS = """
select step, json_object_agg(name, value)::text from runs_metric
where run_id = %(run)s and name = any(%(names)s)
    and step > %(after)s and (%(until)s::bigint is null or step <= %(until)s)
group by step order by step
"""

TOTALS = """
select name, sum(value) from runs_metric
where run_id = %(run)s and name = any(%(names)s) group by name
"""

LASTS = """
select wanted.name, last.value
from unnest(%(names)s::text[]) as wanted(name)
cross join lateral (
    select value from runs_metric where run_id = %(run)s and name = wanted.name
    order by step desc limit 1
) as last
"""
