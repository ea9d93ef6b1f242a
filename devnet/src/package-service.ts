import type { GrpcTypes } from '@mysten/sui/grpc';
import { normalizeSuiAddress } from '@mysten/sui/utils';
import type { Handlers } from './grpc-web.ts';
import type { Ledger } from './ledger.ts';
import type { PackageObject } from './objects.ts';
import {
  type ModuleFace,
  modulesOf,
  renderDatatype,
  renderFunction,
  renderPackage,
} from './render-package.ts';
import { fieldMissing, internal, invalidArgument, notFound } from './rpc-error.ts';

export function packageService(ledger: Ledger): Handlers {
  return {
    GetPackage: (request: GrpcTypes.GetPackageRequest) => ({
      package: renderPackage(findPackage(ledger, request.packageId), ledger.code),
    }),
    GetDatatype: (request: GrpcTypes.GetDatatypeRequest) => {
      const found = findModule(ledger, request).datatypes.find(({ name }) => name === request.name);
      if (!found) throw notFound(`Datatype not found: ${request.name}`);
      return { datatype: renderDatatype(found) };
    },
    GetFunction: (request: GrpcTypes.GetFunctionRequest) => {
      const found = findModule(ledger, request).functions.find(({ name }) => name === request.name);
      if (!found) throw internal(`Function not found: ${request.name}`);
      return { function: renderFunction(found) };
    },
    ListPackageVersions: (request: GrpcTypes.ListPackageVersionsRequest) => {
      const { id, version } = findPackage(ledger, request.packageId);
      return { versions: [{ packageId: id, version }] };
    },
  };
}

function findPackage(ledger: Ledger, packageId: string | undefined): PackageObject {
  if (packageId === undefined) throw fieldMissing('package_id');
  const id = normalizeSuiAddress(packageId);
  const object = ledger.object(id);
  if (!object) throw notFound(`Object ${id} not found`);
  if (object.kind !== 'package') throw invalidArgument(`object ${id} is not a package`);
  return object;
}

function findModule(
  ledger: Ledger,
  { packageId, moduleName }: { packageId?: string; moduleName?: string },
): ModuleFace {
  const module = modulesOf(findPackage(ledger, packageId), ledger.code).find(
    ({ name }) => name === moduleName,
  );
  if (!module) throw notFound(`Module not found: ${moduleName}`);
  return module;
}
