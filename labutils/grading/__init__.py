"""Score what students hand in: `python -m labutils.grading grade NOTEBOOK... --out DIR`.

- `extract`: the bytes of a notebook to the statements that an exercise needs, without running them
- `sandbox`: the grader's end of the boundary; starts, asks and stops the student's process
- `worker`: the student's end; runs their code on plain inputs and answers with plain outputs
- `rings`: what that process gives up before the student's code starts (Linux)
- `frames`: how the two ends write plain data to each other
- `batch`: a run over many files: which they are, what is finished, shards, and putting them together
- `engines`: who grades in a run, processes of this machine or the workers of a Dask cluster, and what if one dies
- `score`: draws the inputs, compares the outputs with the reference, finds the sentence that explains a failure
- `report`: the result of a file as plain data with a version, and its file
- `formats`, `gradebook`: what others read, made from those files: feedback, test reports, CSV; what lateness costs
- `explain`: all about one exercise of one student, for an instructor

The reference, the expected values and the comparison never enter the student's process. Whatever that process says
is taken as an answer to be compared, and never as a verdict or as text to be shown.
"""
