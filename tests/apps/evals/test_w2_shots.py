import os, random
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]="1"
import pytest
from playwright.sync_api import sync_playwright
from django.urls import reverse
from tests.apps.evals.test_judging import make_judge, make_labels
from apps.runs.models import Artifact
from tests.factories import make_run
from kos.evals.calibration import Ruled, measure
import json
from dataclasses import asdict

def calib(judge, labels, artifacts, p, owner):
    rng = random.Random(p)
    rows=[]
    cats=["hedging: seeks context","emergency referral","communication: tailored language","global health: rare"]
    for n in range(400):
        truth=rng.random()<.6; chars=rng.randint(150,4200)
        met = truth if rng.random()<p+.08*(chars/4200) else not truth
        labs=tuple((truth if rng.random()<.85 else not truth) for _ in range(rng.choice([2,3])))
        rows.append(Ruled(id=f"r{n}",prompt_id=f"p{n//3}",category=cats[0 if n<180 else 1 if n<320 else 2 if n<392 else 3],num_chars=chars,labels=labs,by=tuple(f"d{i}" for i in range(len(labs))),met=met if n%60 else None,lint="says_done" if n%33==0 else "",is_absence=n%5==0,again=met if n%11 else not met))
    usage={"prompt_tokens":598000,"tokens":61200,"seconds":842.2,"cost":1.6856,"cost_per_thousand":4.3}
    run=make_run("calibrate",status="done",label_set=labels,config={"kind":"calibrate","judge":judge.grader.model_dump(mode="json")},owner=owner,name=f"{judge.name} on {labels}")
    folder=artifacts/str(run.pk)/"calibration"; folder.mkdir(parents=True)
    (folder/"verdicts.jsonl").write_text("".join(json.dumps(asdict(r))+"\n" for r in rows))
    Artifact.objects.create(run=run,kind="report",name="c",path=f"{run.pk}/calibration",digest=f"{run.pk:064x}",summary={"judge":{"name":judge.grader.name},"usage":usage}|measure(rows,seed=1,draws=200))

@pytest.mark.django_db(transaction=True)
def test_shots(live_server, engineer, artifacts):
    a,b=make_judge("Careful",model="qwen3-32b",asks="rubric",status="trusted"),make_judge("Quick",model="small-judge"); make_judge("Old",status="retired")
    labels=make_labels()
    calib(a,labels,artifacts,.85,engineer.user); calib(b,labels,artifacts,.7,engineer.user)
    from apps.evals.models import JudgeChange
    JudgeChange.objects.create(judge=a,status="trusted",by=engineer.user,reason="Kappa 0.45 on 400 rows, as physicians.")
    pages={"list":reverse("evals:judges"),"judge":reverse("evals:judge",args=[a.pk]),"compare":reverse("evals:compare_judges")+f"?a={a.pk}&b={b.pk}"}
    with sync_playwright() as pw:
        br=pw.chromium.launch(executable_path="/usr/bin/chromium",args=["--no-sandbox","--disable-gpu"])
        for look,(w,scheme) in {"light":(1280,"light"),"dark":(1280,"dark"),"phone":(390,"light")}.items():
            ctx=br.new_context(viewport={"width":w,"height":860},color_scheme=scheme)
            ctx.add_cookies([{"name":"sessionid","value":engineer.cookies["sessionid"].value,"url":live_server.url}])
            page=ctx.new_page()
            errs=[]
            page.on("console",lambda m: errs.append(m.text) if m.type=="error" else None)
            for name,path in pages.items():
                page.goto(live_server.url+path)
                page.wait_for_timeout(300)
                page.screenshot(path=f"/tmp/w2/{name}-{look}.png",full_page=True)
                over=page.evaluate("document.documentElement.scrollWidth - innerWidth")
                print(look,name,"overflow",over,errs[-2:])
                if look!="phone":
                    from axe_playwright_python.sync_playwright import Axe
                    found=Axe().run(page)
                    for v in found.response["violations"]:
                        print("AXE",name,look,v["id"],[n["html"][:150] for n in v["nodes"][:3]])
