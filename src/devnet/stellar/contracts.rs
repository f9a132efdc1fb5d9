//! Contract calls: events of every shape, real asset movements, and forgeries of them.

use rand::RngExt;
use stellar_xdr::{
    ContractDataDurability, ContractEvent, ContractEventType, ContractId, DiagnosticEvent, HostFunction,
    InvokeContractArgs, InvokeHostFunctionOp, InvokeHostFunctionResult, InvokeHostFunctionSuccessPreImage,
    LedgerFootprint, LedgerKey, LedgerKeyContractData, Memo, OperationBody, OperationResultTr, ScAddress, ScBytes,
    ScMap, ScMapEntry, ScSymbol, ScVal, ScVec, SorobanAuthorizationEntry, SorobanAuthorizedFunction,
    SorobanAuthorizedInvocation, SorobanCredentials, SorobanResources, SorobanTransactionData,
    SorobanTransactionDataExt,
};

use super::draft::{Act, Call, Draft, Maker, RefundStage, inner, operation};
use super::events::{address, contract_event, movement, string, symbol, units};
use super::world::{AssetInfo, Key, Xdr, sha256};

impl Maker<'_> {
    /// A call that succeeds, with `events` of the contract's own and `transfers` of real assets.
    /// A single transfer and nothing else is a call of the asset's contract itself.
    pub(super) fn contract_call(&mut self, events: usize, transfers: usize) -> Xdr<Draft> {
        let source = self.account();
        let contract = self.own_contract();
        let mut emitted = Vec::with_capacity(events + transfers);
        let mut invocation = InvokeContractArgs {
            contract_address: ScAddress::Contract(contract.clone()),
            function_name: ScSymbol("run".try_into()?),
            args: vec![ScVal::Address(address(source)), ScVal::U32(self.rng.random())].try_into()?,
        };
        for _ in 0..transfers {
            let index = self.world.asset(&mut self.rng);
            let asset = &self.world.assets[index];
            let from = if events == 0 { address(source) } else { self.holder(source) };
            let to = self.holder(source);
            let amount = self.amount(index);
            let id = self.one_in(8).then(|| ScVal::U64(self.rng.random()));
            emitted.push(movement(asset, &from, &to, amount, id)?);
            if events == 0 && transfers == 1 {
                invocation = InvokeContractArgs {
                    contract_address: ScAddress::Contract(asset.contract.clone()),
                    function_name: ScSymbol("transfer".try_into()?),
                    args: vec![ScVal::Address(from), ScVal::Address(to), units(amount)].try_into()?,
                };
            }
        }
        for _ in 0..events {
            let event = self.own_event(&contract, source)?;
            let place = self.rng.random_range(0..=emitted.len());
            emitted.insert(place, event);
        }
        let returned = if self.one_in(2) { ScVal::Void } else { ScVal::U32(self.rng.random()) };
        let hash = sha256(&InvokeHostFunctionSuccessPreImage {
            return_value: returned.clone(),
            events: emitted.clone().try_into()?,
        })?;
        let mut diagnostics = Vec::new();
        if self.one_in(4) {
            // With diagnostics on, a node repeats every event among them.
            diagnostics.push(called(&contract)?);
            diagnostics.extend(
                emitted.iter().cloned().map(|event| DiagnosticEvent { in_successful_contract_call: true, event }),
            );
        }
        let call = self.call(&invocation, Some(returned), diagnostics)?;
        let act = Act {
            operation: invoke(invocation)?,
            result: inner(OperationResultTr::InvokeHostFunction(InvokeHostFunctionResult::Success(hash))),
            events: emitted,
            changes: Vec::new(),
        };
        let mut draft = self.classic(source, Memo::None, vec![act]);
        draft.call = Some(call);
        Ok(draft)
    }

    /// A call that trapped. What the contract emitted before that stands only in the diagnostics.
    pub(super) fn trapped_call(&mut self) -> Xdr<Draft> {
        let source = self.account();
        let contract = self.own_contract();
        let invocation = InvokeContractArgs {
            contract_address: ScAddress::Contract(contract.clone()),
            function_name: ScSymbol("run".try_into()?),
            args: vec![ScVal::Address(address(source))].try_into()?,
        };
        let diagnostics = vec![
            called(&contract)?,
            DiagnosticEvent { in_successful_contract_call: false, event: self.own_event(&contract, source)? },
        ];
        let call = self.call(&invocation, None, diagnostics)?;
        let act = Act {
            operation: invoke(invocation)?,
            result: inner(OperationResultTr::InvokeHostFunction(InvokeHostFunctionResult::Trapped)),
            events: Vec::new(),
            changes: Vec::new(),
        };
        let mut draft = self.classic(source, Memo::None, vec![act]);
        draft.success = false;
        draft.call = Some(call);
        Ok(draft)
    }

    /// An event of a contract that is no asset contract. Two kinds pretend to be one.
    fn own_event(&mut self, contract: &ContractId, user: Key) -> Xdr<ContractEvent> {
        let other = self.other_account(user);
        let (user, other) = (ScVal::Address(address(user)), ScVal::Address(address(other)));
        let amount = self.amount(1);
        let number: u32 = self.rng.random();
        let (topics, data) = match self.rng.random_range(0..20) {
            0..5 => {
                let sold = self.world.issued_asset(&mut self.rng);
                let token = |asset: &AssetInfo| ScVal::Address(ScAddress::Contract(asset.contract.clone()));
                let pair = (token(&self.world.assets[sold]), token(&self.world.assets[0]));
                let data = map(vec![("amount_in", units(amount)), ("amount_out", units(1))])?;
                (vec![symbol("swap")?, user, pair.0, pair.1], data)
            }
            5..9 => (vec![symbol("COUNTER")?, symbol("increment")?], ScVal::U32(number)),
            9..11 => (vec![symbol("mint")?, user], ScVal::U32(number)),
            // A token of its own, which is no asset of the classic ledger: three topics.
            11..14 => (vec![symbol("transfer")?, user, other], units(amount)),
            // Looks in every topic like the asset's contract, but comes from elsewhere.
            14 => {
                let index = self.world.issued_asset(&mut self.rng);
                let label = self.world.assets[index].label.clone();
                (vec![symbol("transfer")?, user, other, label], units(amount))
            }
            // A fee that nobody was charged.
            15 => (vec![symbol("fee")?, user], units(amount)),
            16 => {
                let prices = vec![symbol("BTC")?, ScVal::from(i128::from(amount) * 1_000_000_000)];
                let list = ScVal::Vec(Some(ScVec(prices.try_into()?)));
                (vec![symbol("prices")?], list)
            }
            // No topics at all, which a contract may do.
            17 => {
                let bytes: [u8; 32] = self.rng.random();
                (Vec::new(), ScVal::Bytes(ScBytes(bytes.try_into()?)))
            }
            18 => {
                let topics = vec![
                    string("name with \"quotes\" and \u{e9}")?,
                    ScVal::U64(u64::from(number) << 32),
                    ScVal::Bool(true),
                    ScVal::I64(-i64::from(number)),
                ];
                (topics, ScVal::Void)
            }
            _ => {
                let mut event = contract_event(contract, vec![symbol("executable_update")?], ScVal::Bool(true))?;
                event.type_ = ContractEventType::System;
                return Ok(event);
            }
        };
        contract_event(contract, topics, data)
    }

    fn own_contract(&mut self) -> ContractId {
        let contracts = &self.world.contracts;
        contracts[self.rng.random_range(0..contracts.len())].clone()
    }

    /// Who holds assets in contract calls: accounts other than `user`, and contracts.
    fn holder(&mut self, user: Key) -> ScAddress {
        if self.one_in(2) { ScAddress::Contract(self.own_contract()) } else { address(self.other_account(user)) }
    }

    fn call(
        &mut self,
        invocation: &InvokeContractArgs,
        returned: Option<ScVal>,
        diagnostics: Vec<DiagnosticEvent>,
    ) -> Xdr<Call> {
        let resource_fee = self.rng.random_range(20_000..2_000_000);
        let instance = LedgerKey::ContractData(LedgerKeyContractData {
            contract: invocation.contract_address.clone(),
            key: ScVal::LedgerKeyContractInstance,
            durability: ContractDataDurability::Persistent,
        });
        Ok(Call {
            data: SorobanTransactionData {
                ext: SorobanTransactionDataExt::V0,
                resources: SorobanResources {
                    footprint: LedgerFootprint {
                        read_only: vec![instance].try_into()?,
                        read_write: Vec::new().try_into()?,
                    },
                    instructions: self.rng.random_range(100_000..50_000_000),
                    disk_read_bytes: self.rng.random_range(0..10_000),
                    write_bytes: self.rng.random_range(0..10_000),
                },
                resource_fee,
            },
            refund: self.rng.random_range(1..resource_fee / 2),
            stage: if self.one_in(8) { RefundStage::AfterTransaction } else { RefundStage::AfterAll },
            returned,
            diagnostics,
        })
    }
}

fn invoke(invocation: InvokeContractArgs) -> Xdr<stellar_xdr::Operation> {
    let auth = SorobanAuthorizationEntry {
        credentials: SorobanCredentials::SourceAccount,
        root_invocation: SorobanAuthorizedInvocation {
            function: SorobanAuthorizedFunction::ContractFn(invocation.clone()),
            sub_invocations: Vec::new().try_into()?,
        },
    };
    let body = OperationBody::InvokeHostFunction(InvokeHostFunctionOp {
        host_function: HostFunction::InvokeContract(invocation),
        auth: vec![auth].try_into()?,
    });
    Ok(operation(None, body))
}

/// The diagnostic that opens every call.
fn called(contract: &ContractId) -> Xdr<DiagnosticEvent> {
    let id = ScVal::Bytes(ScBytes(contract.0.0.try_into()?));
    let mut event = contract_event(contract, vec![symbol("fn_call")?, id], symbol("run")?)?;
    event.type_ = ContractEventType::Diagnostic;
    event.contract_id = None;
    Ok(DiagnosticEvent { in_successful_contract_call: true, event })
}

/// `entries` in the order of their keys, as the host demands.
fn map(entries: Vec<(&str, ScVal)>) -> Xdr<ScVal> {
    let entries =
        entries.into_iter().map(|(key, val)| Ok(ScMapEntry { key: symbol(key)?, val })).collect::<Xdr<Vec<_>>>()?;
    Ok(ScVal::Map(Some(ScMap(entries.try_into()?))))
}
