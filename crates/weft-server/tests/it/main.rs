//! The server as its callers see it: the loop with a real store and real sandboxes.

mod api_changes;
mod api_hostile;
mod api_limits;
mod api_routes;
mod api_runs;
mod api_streams;
mod api_world;
mod asks;
mod auth_matrix;
mod auth_peers;
mod data_figures;
mod data_objects;
mod databases;
mod devices;
mod elastic;
mod ends;
mod imports;
mod machine;
mod restarts;
mod s3_answers;
mod s3_outside;
mod s3_signed;
mod serving;
mod supervisor;
mod takes_back;
mod world;
