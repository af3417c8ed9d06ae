//! Graphs: work that is described first and launched later, as often as is wanted.
//!
//! A graph is its nodes in the order they were given, which is an order that its edges allow; a
//! stream that is captured gives them, or calls that make one. Memory that graphs take is in
//! `graph_memory.rs`. Absent so far: nodes of kernels and copies that are not captured, and
//! conditions, whose bodies may take no memory.

use crate::call::{In, Out};
use crate::driver::{State, with};
use crate::graph_memory::Takes;
use crate::outcome::{INVALID_HANDLE, INVALID_VALUE, NOT_SUPPORTED, Outcome, UPDATE_FAILURE};
use crate::work::{Work, capture_of, perform};

/// What is to be done, described.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    nodes: Vec<u64>,
    /// Whether it is a part of another one, which ends it.
    owned: bool,
}

/// A part of a graph.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) work: Work,
}

/// What can be launched.
#[derive(Debug, Clone)]
pub(crate) struct Exec {
    /// Of which graph.
    pub(crate) graph: u64,
    pub(crate) work: Vec<Work>,
    /// Whether each launch gives back what the last one took.
    pub(crate) frees: bool,
}

/// Types of nodes, by their public numbers.
const CHILD: u32 = 4;
const EMPTY: u32 = 5;
const TAKES: u32 = 10;
const GIVES: u32 = 11;

/// Flags of an instantiation: it frees what it took before, it is uploaded at once; all there are.
const FREES: u64 = 1;
const UPLOADS: u64 = 2;
const FLAGS: u64 = 15;

/// The public numbers of an update that went wrong because the graphs differ.
const TOPOLOGY_CHANGED: u32 = 2;

/// The public structure `CUgraphNodeParams`: its type, then what the type asks for.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct NodeWords {
    kind: u32,
    zeros: [u32; 3],
    words: [u64; 30],
}

/// The public structure `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(crate) struct Instantiate {
    flags: u64,
    stream: u64,
    wrong: u64,
    result: u32,
}

fn type_of(work: &Work) -> u32 {
    match work {
        Work::Kernel { .. } => 0,
        Work::Copy { .. } => 1,
        Work::Set { .. } => 2,
        Work::Host { .. } => 3,
        Work::Child(_) => CHILD,
        Work::Empty => EMPTY,
        Work::Take { .. } => TAKES,
        Work::Give(_) => GIVES,
    }
}

fn is_memory(work: &Work) -> bool {
    matches!(work, Work::Take { .. } | Work::Give(_))
}

impl State {
    /// Adds a node to a graph.
    pub(crate) fn add_node(&mut self, graph: u64, work: Work) -> Outcome<u64> {
        if self.graphs.get(graph)?.owned && is_memory(&work) {
            return Err(INVALID_VALUE);
        }
        let node = self.nodes.add(Node { work });
        self.graphs.get_mut(graph)?.nodes.push(node);
        Ok(node)
    }

    /// What a graph does, and the graphs in it.
    pub(crate) fn work_of(&self, graph: u64) -> Outcome<Vec<Work>> {
        let mut all = Vec::new();
        for node in &self.graphs.get(graph)?.nodes {
            match &self.nodes.get(*node)?.work {
                Work::Child(child) => all.extend(self.work_of(*child)?),
                work => all.push(work.clone()),
            }
        }
        Ok(all)
    }

    /// A graph like another one, which must not take memory.
    fn clone_graph(&mut self, graph: u64, owned: bool) -> Outcome<u64> {
        if self.work_of(graph)?.iter().any(is_memory) {
            return Err(NOT_SUPPORTED);
        }
        let clone = self.graphs.add(Graph { owned, nodes: Vec::new() });
        for node in self.graphs.get(graph)?.nodes.clone() {
            let work = match self.nodes.get(node)?.work.clone() {
                Work::Child(child) => Work::Child(self.clone_graph(child, true)?),
                work => work,
            };
            self.add_node(clone, work)?;
        }
        Ok(clone)
    }

    /// Adds a graph to another one: a clone of it, or itself.
    fn add_child(&mut self, graph: u64, child: u64, moved: bool) -> Outcome<u64> {
        let inner = self.graphs.get(child)?;
        if !moved {
            let child = self.clone_graph(child, true).map_err(|_| INVALID_VALUE)?;
            return self.add_node(graph, Work::Child(child));
        }
        if inner.owned || graph == child {
            return Err(INVALID_VALUE);
        }
        self.graphs.get_mut(child)?.owned = true;
        self.add_node(graph, Work::Child(child))
    }

    fn end_graph(&mut self, graph: u64) -> Outcome {
        for node in self.graphs.remove(graph)?.nodes {
            match self.nodes.remove(node)?.work {
                Work::Child(child) => self.end_graph(child)?,
                Work::Take { at, .. } => self.leave(at, |held| held.described = false)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// What can be launched of a graph: of one that takes memory, only once.
    fn instantiate(&mut self, graph: u64, flags: u64) -> Outcome<u64> {
        let work = self.work_of(graph)?;
        let is_there = || self.execs.iter().any(|(_, exec)| exec.graph == graph);
        if self.graphs.get(graph)?.owned || work.iter().any(is_memory) && is_there() {
            return Err(INVALID_VALUE);
        }
        let exec = Exec { graph, work, frees: flags & FREES != 0 };
        let taken = exec.taken();
        let exec = self.execs.add(exec);
        taken.into_iter().try_for_each(|at| self.leave(at, |held| held.exec = exec))?;
        Ok(exec)
    }

    fn end_exec(&mut self, exec: u64) -> Outcome {
        let taken = self.execs.remove(exec)?.taken();
        self.unmap_graph(exec);
        taken.into_iter().try_for_each(|at| self.leave(at, |held| held.exec = 0))
    }

    /// Gives what can be launched the work of another graph of the same form; false if it differs.
    fn update(&mut self, exec: u64, graph: u64) -> Outcome<bool> {
        let (new, found) = (self.work_of(graph)?, self.execs.get(exec)?);
        let types = |work: &[Work]| work.iter().map(type_of).collect::<Vec<_>>();
        let others = |other: &Exec| other.graph == graph && found.graph != graph;
        let is_other = self.execs.iter().any(|(_, other)| others(other));
        if types(&found.work) != types(&new) || new.iter().any(is_memory) && is_other {
            return Ok(false);
        }
        let before = found.taken();
        let found = self.execs.get_mut(exec)?;
        (found.work, found.graph) = (new, graph);
        let taken = found.taken();
        before.into_iter().try_for_each(|at| self.leave(at, |held| held.exec = 0))?;
        taken.into_iter().try_for_each(|at| self.leave(at, |held| held.exec = exec))?;
        Ok(true)
    }
}

impl Exec {
    /// Addresses that it takes memory at.
    pub(crate) fn taken(&self) -> Vec<u64> {
        let taken = |work: &Work| if let Work::Take { at, .. } = work { Some(*at) } else { None };
        self.work.iter().filter_map(taken).collect()
    }
}

/// A graph that can be launched, of one that is only described.
fn instantiate(out: Out<u64>, graph: u64, flags: u64) -> Outcome {
    if flags & !FLAGS != 0 || out.is_null() {
        return Err(INVALID_VALUE);
    }
    out.put(with(|state| state.instantiate(graph, flags))?)
}

/// Launches: memory first, then one after the other.
fn launch(exec: u64, stream: u64) -> Outcome {
    with(|state| state.execs.get(exec).map(drop))?;
    if capture_of(stream)?.is_some() {
        return Err(NOT_SUPPORTED);
    }
    let work = with(|state| {
        state.begin_launch(exec, stream)?;
        Ok(state.execs.get(exec)?.work.clone())
    })?;
    work.iter().try_for_each(|work| match *work {
        // Taken when the launch began.
        Work::Take { .. } => Ok(()),
        Work::Give(at) => with(|state| state.free_of_graph(at)),
        _ => perform(stream, work),
    })
}

/// Adds a node by the structure that describes all of them.
fn add_node(out: Out<u64>, graph: u64, what: Out<NodeWords>) -> Outcome {
    let mut words = what.get().ok_or(INVALID_VALUE)?;
    let node = match words.kind {
        CHILD => with(|state| state.add_child(graph, words.words[0], words.words[1] as u32 == 1))?,
        EMPTY => with(|state| state.add_node(graph, Work::Empty))?,
        TAKES => {
            let mut takes = Takes::of(&words.words);
            let node = with(|state| state.add_take(graph, &mut takes))?;
            takes.answer(&mut words.words);
            what.put(words)?;
            node
        }
        GIVES => with(|state| state.add_give(graph, words.words[0]))?,
        _ => return Err(NOT_SUPPORTED),
    };
    out.put(node)
}

calls! {
    fn cuGraphCreate(out: Out<u64>, flags: u32) {
        if flags != 0 {
            return Err(INVALID_VALUE);
        }
        out.put(with(|state| Ok(state.graphs.add(Graph::default())))?)
    }

    fn cuGraphDestroy(graph: u64) {
        with(|state| {
            if state.graphs.get(graph)?.owned {
                return Err(INVALID_VALUE);
            }
            state.end_graph(graph)
        })
    }

    fn cuGraphClone(out: Out<u64>, graph: u64) {
        out.put(with(|state| state.clone_graph(graph, false))?)
    }

    fn cuGraphGetNodes(graph: u64, nodes: Out<u64>, count: Out<usize>) {
        let all = with(|state| Ok(state.graphs.get(graph)?.nodes.clone()))?;
        if nodes.is_null() {
            return count.put(all.len());
        }
        let room = count.get().ok_or(INVALID_VALUE)?;
        // Beyond the last the caller is told that there is nothing.
        let none = std::iter::repeat(0);
        nodes.put_all(all.iter().copied().chain(none).take(room.min(all.len())))?;
        count.put(room.min(all.len()))
    }

    fn cuGraphNodeGetType(node: u64, kind: Out<u32>) {
        kind.put(with(|state| Ok(type_of(&state.nodes.get(node)?.work)))?)
    }

    fn cuGraphAddNode(
        out: Out<u64>,
        graph: u64,
        _before: usize,
        _count: usize,
        what: Out<NodeWords>,
    ) {
        add_node(out, graph, what)
    }

    fn cuGraphAddNode_v2(
        out: Out<u64>,
        graph: u64,
        _before: usize,
        _edges: usize,
        _count: usize,
        what: Out<NodeWords>,
    ) {
        add_node(out, graph, what)
    }

    fn cuGraphAddEmptyNode(out: Out<u64>, graph: u64, _before: usize, _count: usize) {
        out.put(with(|state| state.add_node(graph, Work::Empty))?)
    }

    fn cuGraphAddChildGraphNode(
        out: Out<u64>,
        graph: u64,
        _before: usize,
        _count: usize,
        child: u64,
    ) {
        out.put(with(|state| state.add_child(graph, child, false))?)
    }

    fn cuGraphChildGraphNodeGetGraph(node: u64, out: Out<u64>) {
        match with(|state| Ok(state.nodes.get(node)?.work.clone()))? {
            Work::Child(child) => out.put(child),
            _ => Err(INVALID_VALUE),
        }
    }

    fn cuGraphInstantiateWithFlags(out: Out<u64>, graph: u64, flags: u64) {
        // By its parameters only is it said where it is uploaded.
        if flags & UPLOADS == 0 { instantiate(out, graph, flags) } else { Err(INVALID_VALUE) }
    }

    fn cuGraphInstantiate_v2(out: Out<u64>, graph: u64, _node: usize, _log: usize, _room: usize) {
        instantiate(out, graph, 0)
    }

    fn cuGraphInstantiateWithParams(out: Out<u64>, graph: u64, how: Out<Instantiate>) {
        let said = how.get().ok_or(INVALID_VALUE)?;
        instantiate(out, graph, said.flags)?;
        how.put(Instantiate { wrong: 0, result: 0, ..said })?;
        let exec = out.get().ok_or(INVALID_VALUE)?;
        if said.flags & UPLOADS == 0 {
            return Ok(());
        }
        let uploaded = with(|state| state.map_graph(exec, said.stream));
        if uploaded.is_err() {
            with(|state| state.end_exec(exec))?;
        }
        uploaded
    }

    fn cuGraphUpload(exec: u64, stream: u64) {
        with(|state| state.map_graph(exec, stream))
    }

    fn cuGraphLaunch(exec: u64, stream: u64) {
        launch(exec, stream)
    }

    fn cuGraphExecUpdate_v2(exec: u64, graph: u64, result: Out<[u64; 3]>) {
        match with(|state| state.update(exec, graph))? {
            true => result.put([0; 3]),
            false => {
                result.put([u64::from(TOPOLOGY_CHANGED), 0, 0])?;
                Err(UPDATE_FAILURE)
            }
        }
    }

    fn cuGraphExecUpdate(exec: u64, graph: u64, wrong: Out<u64>, result: Out<u32>) {
        let same = with(|state| state.update(exec, graph))?;
        wrong.offer(0);
        result.put(if same { 0 } else { TOPOLOGY_CHANGED })?;
        if same { Ok(()) } else { Err(UPDATE_FAILURE) }
    }

    fn cuGraphExecDestroy(exec: u64) {
        with(|state| {
            if state.execs.get(exec).is_err() {
                return Err(INVALID_HANDLE);
            }
            state.end_exec(exec)
        })
    }

    fn cuGraphAddMemAllocNode(
        out: Out<u64>,
        graph: u64,
        _before: usize,
        _count: usize,
        what: Out<Takes>,
    ) {
        let mut takes = what.get().ok_or(INVALID_VALUE)?;
        let node = with(|state| state.add_take(graph, &mut takes))?;
        what.put(takes)?;
        out.put(node)
    }

    fn cuGraphMemAllocNodeGetParams(node: u64, out: Out<Takes>) {
        match with(|state| Ok(state.nodes.get(node)?.work.clone()))? {
            Work::Take { at, bytes, device } => out.put(Takes::answered(at, bytes, device)),
            _ => Err(INVALID_VALUE),
        }
    }

    fn cuGraphAddMemFreeNode(out: Out<u64>, graph: u64, _before: In<u64>, _count: u64, at: u64) {
        out.put(with(|state| state.add_give(graph, at))?)
    }

    fn cuGraphMemFreeNodeGetParams(node: u64, out: Out<u64>) {
        match with(|state| Ok(state.nodes.get(node)?.work.clone()))? {
            Work::Give(at) => out.put(at),
            _ => Err(INVALID_VALUE),
        }
    }
}
