//! Evaluation: runs methods over data sets, compares their rate-accuracy curves, makes every figure and table.
