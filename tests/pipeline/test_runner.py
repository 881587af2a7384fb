def test_smoke(lab):
    lab.file("data.csv", "1,2")
    lab.notebook("a", "open(out,'w').write(open(raw).read()*2)", "job.report('metric','n',2.0,dataset='test')", parameters="raw=''  # input\nout=''")
    lab.notebook("b", "open(res,'w').write(open(x).read())", parameters="x=''\nres=''")
    lab.pipeline("""
name: p
stages:
  a: {notebook: notebooks/a.ipynb, inputs: {raw: data.csv}, outputs: {out: out.csv}}
  b: {notebook: notebooks/b.ipynb, inputs: {x: a.out}, outputs: {res: res.csv}}
""")
    run = lab.run()
    print(run)
    assert run.status == "succeeded"
    run2 = lab.run()
    assert [s.action for s in run2.stages] == ["reuse", "reuse"]
